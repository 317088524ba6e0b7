//! What a page is as a whole: what the browser complains of, what it weighs, when it is painted, whether it fits, and
//! what axe finds about those who see, hear or type otherwise.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Browser;
use crate::support::target;

impl Browser {
    /// What the browser has complained of since it was last asked: a policy that was broken, a script that failed, a
    /// request that was answered with an error, or went to anything but loopback.
    pub fn complaints(&self) -> Vec<String> {
        let said = self.log("browser").into_iter().filter_map(|entry| {
            let level = entry["level"].as_str()?;
            let is_loud = level == "SEVERE" || level == "WARNING";
            is_loud.then(|| entry["message"].as_str().unwrap_or_default().to_owned())
        });
        let mut complaints: Vec<String> = said.collect();
        complaints.extend(self.requests().into_iter().filter_map(|url| {
            let inside = [
                "http://127.",
                "https://127.",
                "data:",
                "blob:",
                "chrome:",
                "about:",
            ];
            let is_inside = inside.iter().any(|start| url.starts_with(start));
            (!is_inside).then(|| format!("asked outside: {url}"))
        }));
        complaints
    }

    /// Every address that was asked for since this was last looked at.
    fn requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            (event["method"] == "Network.requestWillBeSent").then(|| {
                event["params"]["request"]["url"]
                    .as_str()
                    .map(str::to_owned)
            })?
        });
        events.collect()
    }

    fn log(&self, of: &str) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": of}));
        entries.as_array().cloned().unwrap_or_default()
    }

    /// From the request to the first word on the screen.
    pub fn first_paint(&self) -> Duration {
        const PAINT: &str = "
            const [done] = arguments;
            new PerformanceObserver((list, observer) => {
                const entry = list.getEntriesByName('first-contentful-paint')[0];
                if (entry) { observer.disconnect(); done(entry.startTime); }
            }).observe({type: 'paint', buffered: true});";
        let painted = self.run_until_done(PAINT);
        Duration::from_secs_f64(painted.as_f64().unwrap() / 1000.0)
    }

    /// What the page and all that it needs took on the wire, header fields included, when nothing was kept from before.
    pub fn octets_transferred(&self) -> u64 {
        const WEIGH: &str = "
            return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                .reduce((sum, entry) => sum + entry.transferSize, 0);";
        self.run(WEIGH, &[]).as_u64().unwrap()
    }

    /// Forgets what was kept of pages, so that the next is cold.
    pub fn forget(&self) {
        self.tell("Network.clearBrowserCache", json!({}));
    }

    /// By how many pixels the page is wider than its screen, and what reaches furthest.
    pub fn too_wide_by(&self) -> Option<String> {
        const MEASURE: &str = "
            const has = Math.min(screen.width, window.innerWidth);
            const needs = document.documentElement.scrollWidth;
            if (needs <= has) return null;
            const widest = [...document.body.querySelectorAll('*')]
                .reduce((a, b) => a.getBoundingClientRect().right >= b.getBoundingClientRect().right ? a : b);
            return `${needs - has} px: ${widest.outerHTML.slice(0, 200)}`;";
        self.run(MEASURE, &[]).as_str().map(str::to_owned)
    }

    /// A colour as it is drawn.
    pub fn background(&self) -> String {
        let colour = self.run(
            "return getComputedStyle(document.body).backgroundColor",
            &[],
        );
        colour.as_str().unwrap().to_owned()
    }

    /// What axe finds: WCAG 2.2 up to AA, and good practice. It needs a page that may run scripts.
    pub fn violations(&self) -> Vec<String> {
        let axe = target().join("node/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(&axe)
            .unwrap_or_else(|_| panic!("{} is missing: tests/install.sh brings it", axe.display()));
        // What the test runs is not bound by the policy of the page, which stays as strict as it is.
        self.run(&axe, &[]);
        const RUN: &str = "
            const [done] = arguments;
            axe.run(document, {resultTypes: ['violations']}).then(
                found => done(found.violations.flatMap(({id, help, nodes}) =>
                    nodes.map(({target, html}) => `${id}: ${help}: ${target.join(' ')}: ${html.slice(0, 200)}`))),
                error => done([`axe failed: ${error}`]));";
        let found = self.run_until_done(RUN);
        let found = found.as_array().unwrap().iter();
        found
            .map(|violation| violation.as_str().unwrap().to_owned())
            .collect()
    }

    /// A picture of what is on the screen.
    pub fn picture(&self) -> Vec<u8> {
        let picture = self.tell("Page.captureScreenshot", json!({"format": "png"}));
        let picture = picture["data"].as_str().unwrap();
        BASE64_STANDARD.decode(picture).unwrap()
    }
}
