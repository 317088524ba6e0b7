//! A connection as a scripted host sees it: lines and octets that come, and what it is told to do.
//!
//! What is said at which command stands in the script.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Act, Seen};
use crate::net::Stream;

/// A connection as a scripted host sees it.
pub(super) struct Wire {
    pub(super) stream: Box<dyn Stream>,
    pub(super) buffer: Vec<u8>,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Wire {
    async fn read(&mut self) -> io::Result<()> {
        let before = self.buffer.len();
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = String::from_utf8_lossy(&self.buffer[before..]).into_owned();
        self.seen.lock().unwrap().reads.push(read);
        Ok(())
    }

    pub(super) async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.buffer.reserve(4096);
            self.read().await?;
        }
    }

    pub(super) async fn content_up_to(&mut self, octets: usize) -> io::Result<()> {
        while self.buffer.len() < octets {
            self.buffer.reserve(4096);
            self.read().await?;
        }
        Ok(())
    }

    pub(super) async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    pub(super) async fn act(&mut self, act: Act) -> io::Result<()> {
        match act {
            Act::Say(text) => self.say(text).await,
            Act::SayAndCut(text) => {
                self.say(text).await?;
                Err(io::ErrorKind::Other.into())
            }
            Act::Hang => std::future::pending().await,
            Act::Late(pause, text) => {
                tokio::time::sleep(pause).await;
                self.say(text).await
            }
            Act::StopReading => {
                self.say("354 Go on\r\n").await?;
                std::future::pending().await
            }
            Act::Drip(text, pause) => {
                for octet in text.chars() {
                    tokio::time::sleep(pause).await;
                    self.say(octet.encode_utf8(&mut [0; 4])).await?;
                }
                std::future::pending().await
            }
            Act::Usual | Act::Cut | Act::CutInContent(_) | Act::RefuseInContent(..) => {
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}
