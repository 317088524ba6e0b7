//! What pages load: one stylesheet and the scripts, from the program itself.
//!
//! The path of each has its digest, so that a browser keeps it for as long as it likes and a new release is seen at
//! once. Nothing is looked for in a file system.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::admin::problem::Problem;

/// What pages may load and where forms may go: nothing but here, and no script that stands in a page.
pub(in crate::admin) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    octets: &'static [u8],
}

const STYLE: &str = "console.css";
/// In the order in which pages load them.
const SCRIPTS: [&str; 3] = ["htmx.min.js", "htmx-sse.min.js", "console.js"];
const ICON: &str = "icon.svg";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 5] = [
    Asset {
        name: STYLE,
        media_type: "text/css; charset=utf-8",
        octets: include_bytes!("../../../console/console.css"),
    },
    Asset {
        name: SCRIPTS[0],
        media_type: JAVASCRIPT,
        octets: include_bytes!("../../../console/htmx.min.js"),
    },
    Asset {
        name: SCRIPTS[1],
        media_type: JAVASCRIPT,
        octets: include_bytes!("../../../console/htmx-sse.min.js"),
    },
    Asset {
        name: SCRIPTS[2],
        media_type: JAVASCRIPT,
        octets: include_bytes!("../../../console/console.js"),
    },
    Asset {
        name: ICON,
        media_type: "image/svg+xml",
        octets: include_bytes!("../../../console/icon.svg"),
    },
];

/// The path of each asset, in their order.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = |asset: &Asset| format!("/assets/{}/{}", digest(asset.octets), asset.name);
    ASSETS.iter().map(path).collect()
});

/// Enough to tell releases apart.
fn digest(octets: &[u8]) -> String {
    let digest = Sha256::digest(octets);
    digest
        .iter()
        .take(8)
        .fold(String::new(), |mut text, octet| {
            write!(text, "{octet:02x}").expect("writing to a string does not fail");
            text
        })
}

fn path(name: &str) -> &'static str {
    let mut assets = ASSETS.iter().zip(PATHS.iter());
    let found = assets.find(|(asset, _)| asset.name == name);
    found.map_or("", |(_, path)| path.as_str())
}

pub(super) fn style() -> &'static str {
    path(STYLE)
}

pub(super) fn icon() -> &'static str {
    path(ICON)
}

pub(super) fn scripts() -> impl Iterator<Item = &'static str> {
    SCRIPTS.into_iter().map(path)
}

/// An asset of this release.
pub(super) async fn show(Path((digest, name)): Path<(String, String)>) -> Response {
    let asked = format!("/assets/{digest}/{name}");
    let mut assets = ASSETS.iter().zip(PATHS.iter());
    match assets.find(|(_, path)| **path == asked) {
        Some((asset, _)) => {
            let headers = [
                (CONTENT_TYPE, asset.media_type),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.octets).into_response()
        }
        None => Problem::not_found("such file").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The issue of a console is to be there at once, over a line that is slow too.
    const OCTETS_MAX: usize = 150_000;

    #[test]
    fn all_of_it_is_small() {
        let octets: usize = ASSETS.iter().map(|asset| asset.octets.len()).sum();
        assert!(octets < OCTETS_MAX, "{octets}");
    }
}
