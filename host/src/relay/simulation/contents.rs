//! Contents that can be written again from the key of their message, so that none has to be kept.

/// The field that has the key of a message.
pub(super) const KEY: &str = "X-Key: ";

/// Lines of the body, one of which has to be stuffed.
const LINES: [&str; 4] = [
    "Nobody reads what is written here, and it has to come out as it went in.\r\n",
    "..\r\n",
    ".A line that begins with a dot.\r\n",
    "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n",
];

/// A content of about that many octets.
pub(super) fn content(key: usize, from: &str, priority: Option<u8>, octets: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(octets + 200);
    content.extend_from_slice(
        format!("From: <{from}>\r\nSubject: {key}\r\n{KEY}{key}\r\n").as_bytes(),
    );
    if let Some(priority) = priority {
        content.extend_from_slice(format!("X-Priority: {priority}\r\n").as_bytes());
    }
    content.extend_from_slice(b"\r\n");
    let mut line = key;
    while content.len() < octets {
        content.extend_from_slice(LINES[line % LINES.len()].as_bytes());
        line += 1 + (line >> 2) % 3;
    }
    content.extend_from_slice(format!("{key} ends\r\n").as_bytes());
    content
}

/// The content as DATA carries it, without the end.
pub(super) fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len() + content.len() / 16);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed
}

/// The content as it was before it was stuffed.
pub(super) fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut unstuffed = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        unstuffed.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    unstuffed
}

/// The value of the first field of that name (with its colon) in the first lines of a content.
pub(super) fn field<'a>(content: &'a [u8], name: &str) -> Option<&'a str> {
    let at = memchr::memmem::find(content, name.as_bytes())?;
    let value = &content[at + name.len()..];
    let end = memchr::memchr(b'\r', value)?;
    std::str::from_utf8(&value[..end]).ok()
}
