//! A session of WebDriver (W3C): one request over HTTP for each command, its answer in JSON.
//!
//! The libraries for it are made for more: fantoccini brings Mozilla's types of the protocol with old versions of
//! twenty crates, thirtyfour turns on a feature of serde_json in the relay under test. What is needed is this.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::program::PATIENCE;

/// How the protocol names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(super) struct Session {
    driver: SocketAddr,
    /// The path of the session.
    path: String,
}

/// An element of the page that is open, by its id.
#[derive(Clone, Debug)]
pub(super) struct Element(String);

impl Session {
    /// Has the driver start a browser.
    pub(super) fn start(driver: SocketAddr, capabilities: &Value) -> Session {
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let started = asked(driver, "POST", "/session", Some(&body));
        let started = started.unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        let id = started["sessionId"].as_str().unwrap();
        Session {
            driver,
            path: format!("/session/{id}"),
        }
    }

    /// Asks for something.
    pub(super) fn get(&self, path: &str) -> Result<Value, String> {
        asked(self.driver, "GET", &format!("{}{path}", self.path), None)
    }

    /// Has something done.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let path = format!("{}{path}", self.path);
        asked(self.driver, "POST", &path, Some(body))
    }

    /// Runs a script, and what it returns.
    pub(super) fn run(&self, script: &str, arguments: &[Value]) -> Result<Value, String> {
        let body = json!({"script": script, "args": arguments});
        self.post("/execute/sync", &body)
    }

    /// Runs a script that calls its last argument with what it has to say.
    pub(super) fn run_until_done(
        &self,
        script: &str,
        arguments: &[Value],
    ) -> Result<Value, String> {
        let body = json!({"script": script, "args": arguments});
        self.post("/execute/async", &body)
    }

    /// Ends the browser.
    pub(super) fn end(&self) -> Result<Value, String> {
        asked(self.driver, "DELETE", &self.path, None)
    }
}

impl Element {
    /// The one that a script returned or the browser told.
    pub(super) fn of(told: &Value) -> Option<Element> {
        Some(Element(told[ELEMENT].as_str()?.to_owned()))
    }

    /// The path of something about it.
    pub(super) fn path(&self, what: &str) -> String {
        format!("/element/{}/{what}", self.0)
    }

    /// As an argument of a script.
    pub(super) fn argument(&self) -> Value {
        json!({ELEMENT: self.0})
    }
}

/// One command; what it is answered, or why it failed.
fn asked(
    driver: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let told = exchange(driver, method, path, body).map_err(|error| error.to_string())?;
    let mut answer: Value = serde_json::from_slice(&told).map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    match value["error"].as_str() {
        None => Ok(value),
        Some(error) => Err(format!(
            "{error}: {}",
            value["message"].as_str().unwrap_or_default()
        )),
    }
}

fn exchange(
    driver: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(driver)?;
    // Longer than what a command itself may take, so that it is told why.
    stream.set_read_timeout(Some(PATIENCE * 3))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut told = vec![0; length];
    answer.read_exact(&mut told)?;
    Ok(told)
}
