//! The browser that drives the console's tests sees what a person would, and complains where it should: each of its
//! looks is shown a page on which it must fail, beside one on which it must not.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use crate::support::{Address, Browser, Colours, ENTER, Screen};

/// Pages of a test, by their paths, each with further header fields.
struct Site(SocketAddr);

impl Site {
    fn of(pages: &[(&str, &str, &str)]) -> Site {
        let listener = TcpListener::bind((Address::of_this_test(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let pages: HashMap<String, (String, String)> = pages
            .iter()
            .map(|(path, header, page)| {
                let page = format!(
                    "<!doctype html><html lang=en><link rel=icon href='data:,'><meta name=viewport content='width=device-width'>\
                     <title>A page</title><main><h1>A page</h1>{page}</main>"
                );
                ((*path).to_owned(), ((*header).to_owned(), page))
            })
            .collect();
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let pages = pages.clone();
                thread::spawn(move || answer(&pages, &stream.unwrap()));
            }
        });
        Site(address)
    }

    fn open(&self, browser: &Browser, path: &str) {
        browser.open_at(self.0, path);
    }
}

/// Answers one request; what is not there with 404.
fn answer(pages: &HashMap<String, (String, String)>, mut stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let path = first.split(' ').nth(1)?.split('?').next()?;
    lines.find(String::is_empty)?;
    let (status, (header, page)) = match pages.get(path) {
        Some(page) => ("200 OK", page.clone()),
        None => ("404 Not Found", Default::default()),
    };
    let length = page.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{header}\r\n{page}"
    );
    stream.write_all(text.as_bytes()).ok()
}

/// What it says when something of the browser fails, as it must.
#[track_caller]
fn failure(of: impl FnOnce()) -> String {
    let failed = catch_unwind(AssertUnwindSafe(of)).expect_err("it succeeds");
    failed.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn a_broken_policy_a_failing_script_a_missing_file_and_a_request_to_outside_are_complaints() {
    let site = Site::of(&[
        ("/good", "", "<p>Nothing is wrong here."),
        (
            "/policy",
            "Content-Security-Policy: default-src 'none'\r\n",
            "<p style='color:red'>A style of its own.",
        ),
        ("/script", "", "<script>nothing.here()</script>"),
        ("/missing", "", "<img alt='' src='/missing.png'>"),
        (
            "/outside",
            "",
            "<img alt='' src='http://tracker.example/dot.png'>",
        ),
    ]);
    let browser = Browser::start();
    site.open(&browser, "/good");
    browser.reads("Nothing is wrong here.");
    assert_eq!(browser.complaints(), [""; 0]);
    for (path, complaint) in [
        ("/policy", "Content Security Policy"),
        ("/script", "nothing is not defined"),
        ("/missing", "404"),
        ("/outside", "asked outside: http://tracker.example/dot.png"),
    ] {
        site.open(&browser, path);
        let complaints = browser.complaints();
        let is_said = complaints.iter().any(|said| said.contains(complaint));
        assert!(is_said, "{path}: {complaints:#?}");
    }
    site.open(&browser, "/missing");
    browser.complained_only_of("404");
    let said = failure(|| browser.complained_only_of("404"));
    assert_eq!(said, "not just 404: []");
    site.open(&browser, "/script");
    let said = failure(|| browser.close());
    assert!(said.contains("nothing is not defined"), "{said}");
}

#[test]
fn a_form_is_filled_in_by_labels_and_sent_and_what_comes_is_awaited() {
    let site = Site::of(&[
        (
            "/form",
            "",
            "<form action=/sent><label for=n>Your name</label><input id=n name=name value=before>
             <label>Colour <select name=colour><option value=r>Red<option value=b>Blue</select></label>
             <input aria-label='All of it' type=checkbox name=all>
             <button>Send</button><button aria-label='Send later' formaction=/later>Later</button></form>
             <details><summary>More</summary>There is more.</details><a href=/form>Again</a>",
        ),
        (
            "/sent",
            "",
            "<p id=p>Not yet. <script>fetch('/good').then(() => { p.innerText = 'It is done.'; })</script>",
        ),
        ("/good", "", ""),
    ]);
    let browser = Browser::start().with_patience(Duration::from_millis(300));
    site.open(&browser, "/form");
    assert_eq!(
        (browser.title().as_str(), browser.count("input")),
        ("A page", 2)
    );
    assert_eq!(browser.text_of("h1"), "A page");
    let said = failure(|| drop(browser.text_of("h2")));
    assert!(said.starts_with("nothing is h2 on:\nA page"), "{said}");
    assert_eq!(browser.value("Your name"), "before");
    browser.click("summary", "More");
    browser.reads("There is more.");
    browser.shows("details[open]");
    let said = failure(|| browser.shows("h2"));
    assert!(said.starts_with("nothing is h2 on:\nA page"), "{said}");
    browser.fill("Your name", "Ann <b>&amp;");
    browser.tick("All of it");
    browser.choose("Colour", "Blue");
    let said = failure(|| browser.choose("Colour", "Green"));
    assert_eq!(said, "\"Colour\" offers no \"Green\"");
    let said = failure(|| browser.fill("Your age", "7"));
    assert!(
        said.contains("fields of the label \"Your age\" on:\nA page"),
        "{said}"
    );
    let said = failure(|| browser.click("link", "Send"));
    assert!(said.contains("link \"Send\" on:\nA page"), "{said}");
    browser.click("button", "Send");
    browser.reads("It is done.");
    browser.reads_no_more("Not yet.");
    assert_eq!(
        browser.path(),
        "/sent?name=Ann+%3Cb%3E%26amp%3B&colour=b&all=on"
    );
    let said = failure(|| browser.reads("It is never said."));
    assert!(
        said.contains("never read: \"It is never said.\", but:\nA page"),
        "{said}"
    );
}

#[test]
fn axe_tells_what_keeps_people_from_using_a_page_whatever_its_policy() {
    let policy = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";
    let site = Site::of(&[
        (
            "/good",
            policy,
            "<p>Dark on light.</p><label>Name <input></label>",
        ),
        (
            "/bad",
            policy,
            "<p style='color:#ccc;background:#fff'>Light on light.</p><input name=nameless><img src=data:,>",
        ),
    ]);
    let browser = Browser::start();
    site.open(&browser, "/good");
    assert_eq!(browser.violations(), [""; 0]);
    site.open(&browser, "/bad");
    let violations = browser.violations();
    for rule in ["color-contrast: ", "label: ", "image-alt: "] {
        let is_told = violations
            .iter()
            .any(|violation| violation.starts_with(rule));
        assert!(is_told, "{rule}: {violations:#?}");
    }
    browser.complaints();
}

#[test]
fn a_phone_is_narrow_colours_are_those_that_are_preferred_and_a_page_is_weighed_and_timed() {
    let heavy = format!("<p>{}", "heavy ".repeat(50_000));
    let site = Site::of(&[
        ("/good", "", "<p>Fits everywhere."),
        ("/wide", "", "<div style='width:700px'>Seven hundred.</div>"),
        (
            "/colours",
            "",
            "<style>body{background:#fff}@media(prefers-color-scheme:dark){body{background:#000}}</style>",
        ),
        (
            "/slow",
            "",
            "<script>for (const t = performance.now(); performance.now() < t + 400;);</script><p>At last.",
        ),
        ("/heavy", "", &heavy),
    ]);
    let browser = Browser::start();
    site.open(&browser, "/wide");
    assert_eq!(browser.too_wide_by(), None);
    browser.on(Screen::Phone);
    site.open(&browser, "/wide");
    let width = browser.too_wide_by().unwrap();
    assert!(width.contains("Seven hundred."), "{width}");
    site.open(&browser, "/good");
    assert_eq!(browser.too_wide_by(), None);

    site.open(&browser, "/colours");
    assert_eq!(browser.background(), "rgb(255, 255, 255)");
    browser.prefer(Colours::Dark);
    assert_eq!(browser.background(), "rgb(0, 0, 0)");
    assert!(browser.picture().starts_with(b"\x89PNG"));

    site.open(&browser, "/slow");
    assert!(browser.first_paint() >= Duration::from_millis(400));
    site.open(&browser, "/good");
    let octets = browser.octets_transferred();
    assert!((100..1_000).contains(&octets), "{octets}");
    browser.forget();
    site.open(&browser, "/heavy");
    assert!(browser.octets_transferred() > 300_000);
}

#[test]
fn a_keyboard_goes_from_field_to_field_and_a_page_without_scripts_runs_none() {
    let page = "<p id=p>Without.</p><script>p.innerText = 'With.'</script>
         <form action=/sent><label>Name <input name=name></label><div tabindex=0>A thing</div><button>Send</button></form>";
    let site = Site::of(&[
        ("/form", "", page),
        ("/sent", "", "<p>Thank you.<a href=/form>Back</a>"),
    ]);
    let browser = Browser::start();
    site.open(&browser, "/form");
    browser.reads("With.");
    browser.tab_to("textbox Name");
    browser.press("Ann");
    browser.tab_to("button Send");
    browser.press(ENTER);
    browser.reads("Thank you.");
    assert_eq!(browser.path(), "/sent?name=Ann");
    let said = failure(|| browser.tab_to("button Send"));
    assert!(said.contains("no tabulator leads to button Send"), "{said}");
    browser.close();

    let browser = Browser::start().without_scripts();
    site.open(&browser, "/form");
    browser.reads("Without.");
    browser.fill("Name", "Eve");
    browser.click("button", "Send");
    browser.reads("Thank you.");
    assert_eq!(browser.path(), "/sent?name=Eve");
    assert!(browser.text().contains("Back"));
}
