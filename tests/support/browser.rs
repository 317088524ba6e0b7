//! A real browser: headless Chromium that a test drives as a person would, by what stands on the page.
//!
//! Fields are found by their labels, everything else by the role and the name that a screen reader hears. What a page
//! does comes about by itself, so it is awaited: the page tells of each change. A browser lives as long as its
//! test, has a profile of its own and reaches loopback alone. What it complains of (a policy that was broken, a script
//! that failed, a request that was refused or went elsewhere) fails the test at its end, unless the test asked for it.
//!
//! `browser/page.rs` looks at a page as a whole: contrast and names, paint, weight, width.

mod page;
mod session;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{PATIENCE, Program};
use session::{Element, Session};

/// The tabulator, as WebDriver names it.
pub const TAB: &str = "\u{e004}";
/// The key that sends a form and follows a link.
pub const ENTER: &str = "\u{e007}";

/// What a page is seen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    Desktop,
    Phone,
}

/// Which colours a person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    Light,
    Dark,
}

pub struct Browser {
    /// None when it has been closed.
    session: Option<Session>,
    /// Ends after the browser that it started.
    _driver: Program,
    _profile: TempDir,
    runs_scripts: Cell<bool>,
    /// How long it waits for what must come.
    patience: Duration,
}

/// Where Debian and others have it. Debian's /usr/bin/chromium is a script that adds the settings of the machine.
const PLACES: [&str; 3] = [
    "/usr/lib/chromium/chromium",
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
];

fn chromium() -> PathBuf {
    let places = PLACES.iter().map(PathBuf::from);
    let mut found = places.filter(|place| place.exists());
    found
        .next()
        .expect("Chromium is missing: tests/install.sh installs it")
}

/// What it is started with. It reaches addresses of loopback and knows no other name, so whatever a page wants from
/// outside fails and is told; of its own accord it asks nobody.
const ARGUMENTS: [&str; 13] = [
    "--headless=new",
    // Root may not use the sandbox, and has nothing here that it would keep.
    "--no-sandbox",
    // Containers have little of it.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.*",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    // It ends with its driver, however that ends.
    "--remote-debugging-pipe",
];

impl Browser {
    /// Starts one with the screen of a desktop and light colours.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Program::start(
            Command::new("chromedriver")
                .arg("--port=0")
                // Nothing of whoever runs the tests.
                .env("HOME", profile.path())
                .env("TMPDIR", profile.path())
                .env_remove("DISPLAY"),
        );
        let line = driver.wait_for_line("started successfully on port ");
        let port = line.rsplit(' ').next().unwrap().trim_end_matches('.');
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let kept = format!("--user-data-dir={}", profile.path().join("kept").display());
        let arguments = ARGUMENTS.iter().copied().chain([kept.as_str()]);
        let milliseconds = PATIENCE.as_millis();
        let capabilities = json!({
            "goog:chromeOptions": {"binary": chromium(), "args": arguments.collect::<Vec<_>>()},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": milliseconds * 2, "pageLoad": milliseconds},
        });
        let browser = Browser {
            session: Some(Session::start(address, &capabilities)),
            _driver: driver,
            _profile: profile,
            runs_scripts: Cell::new(true),
            patience: PATIENCE,
        };
        browser.on(Screen::Desktop);
        browser
    }

    /// The same, which gives up sooner on what does not come.
    pub fn with_patience(mut self, patience: Duration) -> Browser {
        self.patience = patience;
        self
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Opens a page of a relay.
    #[track_caller]
    pub fn open_at(&self, admin: SocketAddr, path: &str) {
        self.open(&format!("http://{admin}{path}"));
    }

    /// Goes back to the page before.
    #[track_caller]
    pub fn back(&self) {
        self.post("/back", &json!({}));
    }

    /// Path and query of the page that is open.
    pub fn path(&self) -> String {
        let url = self.get("/url");
        let url = url.as_str().unwrap();
        let (_, rest) = url.split_once("://").unwrap_or_default();
        rest.find('/')
            .map_or(url, |start| &rest[start..])
            .to_owned()
    }

    /// The title of the page that is open.
    pub fn title(&self) -> String {
        self.get("/title").as_str().unwrap_or_default().to_owned()
    }

    /// Shows pages on another screen, from the next layout on.
    pub fn on(&self, screen: Screen) {
        let (width, height, scale, mobile) = match screen {
            Screen::Desktop => (1280, 900, 1, false),
            Screen::Phone => (390, 844, 2, true),
        };
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": width, "height": height, "screenWidth": width, "screenHeight": height,
                "deviceScaleFactor": scale, "mobile": mobile,
            }),
        );
        self.tell(
            "Emulation.setTouchEmulationEnabled",
            json!({"enabled": mobile}),
        );
    }

    /// Prefers other colours.
    pub fn prefer(&self, colours: Colours) {
        let value = match colours {
            Colours::Light => "light",
            Colours::Dark => "dark",
        };
        self.tell(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": value}]}),
        );
    }

    /// Runs no scripts of pages, from the next page on. What the test asks of a page still works.
    pub fn without_scripts(self) -> Browser {
        self.tell(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        );
        self.runs_scripts.set(false);
        self
    }

    /// Waits until the page reads so.
    #[track_caller]
    pub fn reads(&self, text: &str) {
        let holds = self.holds(
            "document.body && document.body.innerText.includes(wanted)",
            text,
        );
        assert!(holds, "never read: {text:?}, but:\n{}", self.text());
    }

    /// Waits until the page reads so no more.
    #[track_caller]
    pub fn reads_no_more(&self, text: &str) {
        let holds = self.holds(
            "document.body && !document.body.innerText.includes(wanted)",
            text,
        );
        assert!(holds, "still reads {text:?}:\n{}", self.text());
    }

    /// Waits until something matches a selector.
    #[track_caller]
    pub fn shows(&self, selector: &str) {
        let holds = self.holds("document.querySelector(wanted)", selector);
        assert!(holds, "nothing is {selector} on:\n{}", self.text());
    }

    /// How many elements match a selector now.
    pub fn count(&self, selector: &str) -> u64 {
        let count = self.run(
            "return document.querySelectorAll(arguments[0]).length",
            &[json!(selector)],
        );
        count.as_u64().unwrap()
    }

    /// The text of the first element that matches a selector.
    #[track_caller]
    pub fn text_of(&self, selector: &str) -> String {
        let text = self.run(
            "return document.querySelector(arguments[0])?.innerText",
            &[json!(selector)],
        );
        let text = text.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("nothing is {selector} on:\n{}", self.text()))
    }

    /// What an attribute of the first element says that matches a selector.
    #[track_caller]
    pub fn attribute_of(&self, selector: &str, name: &str) -> String {
        let text = self.run(
            "return document.querySelector(arguments[0])?.getAttribute(arguments[1])",
            &[json!(selector), json!(name)],
        );
        let text = text.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("nothing is {selector} with {name} on:\n{}", self.text()))
    }

    /// What a person reads on the page.
    pub fn text(&self) -> String {
        let text = self.run("return document.body ? document.body.innerText : ''", &[]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Writes into the field of that label, in place of what stands there.
    #[track_caller]
    pub fn fill(&self, label: &str, value: &str) {
        let field = self.field(label);
        self.post(&field.path("clear"), &json!({}));
        self.post(&field.path("value"), &json!({"text": value}));
    }

    /// Ticks or unticks the box of that label, or takes the choice of that label.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        self.post(&self.field(label).path("click"), &json!({}));
    }

    /// Chooses what reads so in the field of that label.
    #[track_caller]
    pub fn choose(&self, label: &str, choice: &str) {
        const FIND: &str =
            "return [...arguments[0].options].filter(option => option.label === arguments[1])[0]";
        let field = self.field(label).argument();
        let option = Element::of(&self.run(FIND, &[field, json!(choice)]));
        let option = option.unwrap_or_else(|| panic!("{label:?} offers no {choice:?}"));
        self.post(&option.path("click"), &json!({}));
    }

    /// What stands in the field of that label.
    #[track_caller]
    pub fn value(&self, label: &str) -> String {
        let value = self.get(&self.field(label).path("property/value"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks what has that role and name, as soon as it is there: a button, a link, a summary.
    #[track_caller]
    pub fn click(&self, role: &str, name: &str) {
        self.post(&self.found(role, name).path("click"), &json!({}));
    }

    /// Sends keys to whatever has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let key = |kind: &str, key: char| json!({"type": kind, "value": key.to_string()});
        let actions = keys.chars();
        let actions = actions.flat_map(|each| [key("keyDown", each), key("keyUp", each)]);
        let actions: Vec<Value> = actions.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", &json!({"actions": [keyboard]}));
    }

    /// Role and name of what has the focus, as in `button Save`.
    pub fn focused(&self) -> String {
        let active = Element::of(&self.get("/element/active")).unwrap();
        let role = self.computed(&active, "role");
        format!("{role} {}", self.computed(&active, "label"))
    }

    /// Goes on with the tabulator until something has the focus.
    #[track_caller]
    pub fn tab_to(&self, wanted: &str) {
        let mut passed = Vec::new();
        // A page where it takes more is none for a keyboard.
        for _ in 0..60 {
            self.press(TAB);
            let focused = self.focused();
            if focused == wanted {
                return;
            }
            passed.push(focused);
        }
        panic!("no tabulator leads to {wanted}, but to {passed:#?}");
    }

    /// It has complained of this since it was last asked, and of nothing else.
    #[track_caller]
    pub fn complained_only_of(&self, what: &str) {
        let complaints = self.complaints();
        let is_only = complaints.iter().all(|said| said.contains(what));
        assert!(
            is_only && !complaints.is_empty(),
            "not just {what}: {complaints:#?}"
        );
    }

    /// Closes it. What it complained of fails the test.
    #[track_caller]
    pub fn close(mut self) {
        self.end();
    }

    #[track_caller]
    fn end(&mut self) {
        let complaints = self.complaints();
        if let Some(session) = self.session.take() {
            session.end().unwrap();
        }
        assert!(complaints.is_empty(), "the browser says: {complaints:#?}");
    }

    fn session(&self) -> &Session {
        self.session
            .as_ref()
            .expect("it is open until it is closed")
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let answer = self.session().get(path);
        answer.unwrap_or_else(|error| panic!("the browser: {path}: {error}"))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.session().post(path, body);
        answer.unwrap_or_else(|error| panic!("the browser: {path} {body}: {error}"))
    }

    /// Runs a script of the test, whatever the page allows for its own.
    #[track_caller]
    fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let answer = self.session().run(script, arguments);
        answer.unwrap_or_else(|error| panic!("the browser: {error}"))
    }

    /// Runs a script that calls its last argument with what it has to say.
    #[track_caller]
    fn run_until_done(&self, script: &str) -> Value {
        let answer = self.session().run_until_done(script, &[]);
        answer.unwrap_or_else(|error| panic!("the browser: {error}"))
    }

    /// Whether an expression about the page comes to hold in time. The page is looked at again at each of its changes;
    /// where another page comes instead, that one is.
    fn holds(&self, expression: &str, wanted: &str) -> bool {
        let until = Instant::now() + self.patience;
        if !self.runs_scripts.get() {
            // Where no scripts run nothing tells of another page that comes.
            let script = format!("const wanted = arguments[0]; return Boolean({expression});");
            loop {
                match self.session().run(&script, &[json!(wanted)]) {
                    Ok(holds) if holds == true => return true,
                    Ok(_) | Err(_) if Instant::now() > until => return false,
                    Ok(_) | Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
                }
            }
        }
        let script = format!(
            "const [wanted, within, done] = arguments;
             const holds = () => Boolean({expression});
             if (holds()) return done(true);
             const observer = new MutationObserver(() => holds() && end(true));
             const timer = setTimeout(() => end(holds()), within);
             const end = holds => {{ observer.disconnect(); clearTimeout(timer); done(holds); }};
             observer.observe(document, {{
                 subtree: true, childList: true, characterData: true, attributes: true
             }});"
        );
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let arguments = [json!(wanted), json!(left.as_millis())];
            match self.session().run_until_done(&script, &arguments) {
                Ok(holds) => return holds == true,
                // The page went away in the middle of it.
                Err(_) if !left.is_zero() => {}
                Err(error) => panic!("the browser: {error}"),
            }
        }
    }

    /// The field that a label names: what it is for, what stands in it, or what says so of itself.
    #[track_caller]
    fn field(&self, label: &str) -> Element {
        const FIND: &str = "
            const [label] = arguments;
            const reads = label => {
                const words = label.cloneNode(true);
                words.querySelectorAll('input, select, textarea, button').forEach(field => field.remove());
                return words.textContent.replace(/\\s+/g, ' ').trim();
            };
            const labels = [...document.querySelectorAll('label')].filter(node => reads(node) === label);
            const controls = labels.map(node => node.control).filter(Boolean);
            const named = [...document.querySelectorAll('[aria-label]')]
                .filter(node => node.getAttribute('aria-label') === label);
            return [...controls, ...named];";
        let mut fields = elements(&self.run(FIND, &[json!(label)]));
        assert_eq!(
            fields.len(),
            1,
            "fields of the label {label:?} on:\n{}",
            self.text()
        );
        fields.remove(0)
    }

    /// What has that role and name, awaited.
    #[track_caller]
    fn found(&self, role: &str, name: &str) -> Element {
        let selector = match role {
            "button" => "button, input[type=submit], input[type=button], [role=button]",
            // What it opens and closes has no role of its own that browsers agree on.
            "summary" => "summary",
            "link" => "a[href], [role=link]",
            "heading" => "h1, h2, h3, h4, [role=heading]",
            _ => "*",
        };
        // What cannot have the name is left out before the browser is asked for each: tables have many of a kind.
        const CANDIDATES: &str = "
            const [selector, name] = arguments;
            const says = node => [node.textContent, node.value, node.title, node.getAttribute('aria-label'),
                ...(node.getAttribute('aria-labelledby') ?? '').split(' ')
                    .map(id => document.getElementById(id)?.textContent)]
                .filter(text => typeof text === 'string').join(' ').replace(/\\s+/g, ' ');
            return [...document.querySelectorAll(selector)]
                .filter(node => says(node).includes(name) && node.checkVisibility());";
        let look = || {
            let candidates = self.run(CANDIDATES, &[json!(selector), json!(name)]);
            let mut candidates = elements(&candidates);
            candidates.retain(|element| {
                let has_role = || role == "summary" || self.computed(element, "role") == role;
                self.computed(element, "label") == name && has_role()
            });
            candidates
        };
        let mut found = look();
        if found.is_empty() {
            self.holds(
                "document.body && document.body.textContent.includes(wanted)",
                name,
            );
            found = look();
        }
        assert_eq!(found.len(), 1, "{role} {name:?} on:\n{}", self.text());
        found.remove(0)
    }

    /// The role or the label of an element, as the browser tells it to a screen reader.
    fn computed(&self, element: &Element, what: &str) -> String {
        let told = self.get(&element.path(&format!("computed{what}")));
        told.as_str().unwrap_or_default().to_owned()
    }

    /// A command of the protocol of Chromium's own tools.
    fn tell(&self, command: &str, parameters: Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }
}

fn elements(found: &Value) -> Vec<Element> {
    let found = found.as_array().into_iter().flatten();
    found.filter_map(Element::of).collect()
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.session.is_some() && !std::thread::panicking() {
            self.end();
        } else if let Some(session) = self.session.take() {
            // Why the test fails is known already.
            let _ = session.end();
        }
    }
}
