//! How the relay does: since when it runs, whether it is ready, and what it runs with.

use maud::html;

use super::parts as ways;
use crate::admin::connection::Certificate;
use crate::admin::console::layout::{self, Frame};
use crate::admin::console::parts;
use crate::admin::console::visit::Visitor;

pub(in crate::admin::console::pages) async fn show(visitor: Visitor) -> maud::Markup {
    let texts = visitor.texts;
    let api = &visitor.api;
    let connection = api.connection.load().shown();
    let uptime = api.clock.now().since(api.started);
    let body = html! {
        (ways(&visitor))
        dl.facts {
            dt { (texts.say("system-version")) } dd { (env!("CARGO_PKG_VERSION")) }
            dt { (texts.say("system-host")) } dd { (connection.host) }
            dt { (texts.say("system-uptime")) } dd { (parts::duration(uptime.as_secs())) }
            dt { (texts.say("system-certificate")) }
            dd {
                @match connection.certificate {
                    Certificate::SelfSigned => { (texts.say("certificate-self-signed")) },
                    Certificate::Configured => { (texts.say("certificate-configured")) },
                }
            }
        }
    };
    layout::page(&visitor, &Frame::new(texts.say("nav-system")), &body)
}
