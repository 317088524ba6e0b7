//! A next hop whose every answer the test decides, and may hold back.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::relay::SINK;

/// What the next hop is asked.
#[derive(Debug)]
pub enum Moment<'a> {
    Greeting,
    /// EHLO, MAIL, RCPT or DATA as it came.
    Command(&'a str),
    /// The content, dots unstuffed.
    Content(&'a str),
}

/// What it got at an accepted transaction.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// MAIL and the accepted RCPTs as they came.
    pub commands: Vec<String>,
    pub content: String,
}

pub struct NextHop {
    accepted: Arc<Mutex<Vec<Transaction>>>,
}

type Answers = dyn Fn(Moment<'_>) -> Option<String> + Send + Sync;

impl NextHop {
    /// Listens where the relay of that address sends to. What `answers` leaves open is answered with
    /// yes. It lists DSN, SIZE, 8BITMIME and SMTPUTF8, and not PIPELINING, so that each command
    /// comes alone.
    pub fn start(
        ip: IpAddr,
        answers: impl Fn(Moment<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> NextHop {
        let listener = TcpListener::bind((ip, SINK)).unwrap();
        let accepted = Arc::<Mutex<Vec<Transaction>>>::default();
        let answers: Arc<Answers> = Arc::new(answers);
        let into = Arc::clone(&accepted);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, into) = (Arc::clone(&answers), Arc::clone(&into));
                // A relay that hangs up, or is killed, is no fault of the hop.
                thread::spawn(move || drop(converse(stream, &*answers, &into)));
            }
        });
        NextHop { accepted }
    }

    /// The transactions that were accepted so far, in that order.
    pub fn accepted(&self) -> Vec<Transaction> {
        self.accepted.lock().unwrap().clone()
    }
}

fn converse(
    stream: TcpStream,
    answers: &Answers,
    accepted: &Mutex<Vec<Transaction>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let say = |reply: &str| (&stream).write_all(format!("{reply}\r\n").as_bytes());
    let greeting = answers(Moment::Greeting).unwrap_or("220 hop.test".into());
    say(&greeting)?;
    let mut transaction = Transaction::default();
    loop {
        let line = read_line(&mut lines)?;
        let verb = line.get(..4).unwrap_or("").to_uppercase();
        let usual = match verb.as_str() {
            "" => return Ok(()),
            "EHLO" => {
                "250-hop.test\r\n250-DSN\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 SMTPUTF8"
            }
            "DATA" => "354 Go on",
            "QUIT" => return say("221 2.0.0 Bye"),
            _ => "250 2.0.0 Yes",
        };
        let decided = match verb.as_str() {
            "EHLO" | "MAIL" | "RCPT" | "DATA" => answers(Moment::Command(&line)),
            _ => None,
        };
        let reply = decided.unwrap_or(usual.to_owned());
        say(&reply)?;
        match verb.as_str() {
            "MAIL" | "EHLO" | "RSET" => transaction = Transaction::default(),
            _ => {}
        }
        if matches!(verb.as_str(), "MAIL" | "RCPT") && reply.starts_with('2') {
            transaction.commands.push(line);
        } else if verb == "DATA" && reply.starts_with('3') {
            let mut transaction = std::mem::take(&mut transaction);
            transaction.content = read_content(&mut lines)?;
            let decided = answers(Moment::Content(&transaction.content));
            let reply = decided.unwrap_or("250 2.0.0 Taken".to_owned());
            // It is known here before the relay can know it.
            if reply.starts_with('2') {
                accepted.lock().unwrap().push(transaction);
            }
            say(&reply)?;
        }
    }
}

fn read_content(lines: &mut impl BufRead) -> std::io::Result<String> {
    let mut content = String::new();
    loop {
        let line = read_line(lines)?;
        if line == "." {
            return Ok(content);
        }
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
        content.push_str("\r\n");
    }
}

fn read_line(lines: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
