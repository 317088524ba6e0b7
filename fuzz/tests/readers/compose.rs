//! Header sections to ask readers about, composed by chance: of pieces that mean something in a list of
//! authors, of changed inputs of the corpora, and of changes to both.
//!
//! Everything comes from the seed. Honest pieces are drawn more often than odd ones: what is refused at once
//! shows nothing.

use crate::chance::Chance;

const ADDRESSES: &[&str] = &[
    "a@b.example",
    "c@d.example",
    "ceo@victim.example",
    "A.B+c@b.example",
    "a=b@b.example",
    "\"a b\"@b.example",
    "\"a\"@b.example",
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@b.example.",
    "a@B.EXAMPLE",
    "a@m\u{fc}nchen.example",
    "a@xn--mnchen-3ya.example",
    "j\u{fc}rgen@b.example",
    "a@stra\u{df}e.example",
    "a@\u{ff42}.example",
    "a@b\u{3002}example",
    "\"a@c.example\"@b.example",
    "\"a\\\"b\"@b.example",
    "a@b@c.example",
    "a@b.example@",
    "@b.example",
    "a@",
    "a..b@b.example",
    ".a@b.example",
    "a(c)@b.example",
    "a@(c)b.example",
    "a@b.example(c)",
    "a@b .example",
    "a @b.example",
    "=?utf-8?Q?a?=@b.example",
    "a@=?utf-8?Q?b?=.example",
    "a%c.example@b.example",
    "a!b@b.example",
    "@x.example:a@b.example",
    "@x.example,@y.example:a@b.example",
    "<a@b.example>",
];

const NAMES: &[&str] = &[
    "Ann",
    "Ann Lee",
    "\"Ann Lee\"",
    "\"Lee, Ann\"",
    "Ann B. Lee",
    "\"Ann \\\"Nick\\\" Lee\"",
    "M\u{fc}ller",
    "\u{5c71}\u{7530}",
    "=?utf-8?Q?Ann_Lee?=",
    "=?utf-8?Q?Ann?= =?utf-8?Q?_Lee?=",
    "=?UTF-8?B?QW5uIExlZQ==?=",
    "=?iso-8859-1?Q?J=F6rg?=",
    "=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?=",
    "\"=?utf-8?Q?M=C3=BCller?=\"",
    "\"a@b.example\"",
    "\"ceo@victim.example\"",
    "\"ceo@victim.example,\"",
    "\"ceo@victim.example <\"",
    "\"x\\\\\"",
    "\"x\\\"",
    "(Ann)",
    "(Ann (Lee))",
    "(ceo at victim.example)",
    "(",
    ")",
    "\"",
    "\\",
    "=?utf-8?Q?ceo=40victim.example?=",
    "=?utf-8?Q?=22ceo=40victim.example=22?=",
    "=?utf-8?Q?=3Cceo=40victim.example=3E?=",
    "=?utf-8?Q?ceo=40victim.example=2C?=",
    "=?utf-8?B?Y2VvQHZpY3RpbS5leGFtcGxl?=",
    "=?utf-8?Q?=22?=",
    "=?utf-8?Q?=28?=",
    "=?utf-8?Q?=5C?=",
    "=?utf-8?Q?,?=",
    "=?utf-7?Q?+AEA-?=",
    "=?utf-16?B?AGMAZQBvAEAAdgBpAGMAdABpAG0ALgBlAHgAYQBtAHAAbABlACwAIA==?=",
    "=?ucs-2?B?AEA=?=",
    "=?replacement?Q?ceo=40victim.example=2C?=",
    "=?iso-2022-jp?Q?=1B$B;3=0ACEO=40VICTIM.EXAMPLE=2C?=",
    "=?gb2312?Q?ceo=81=40victim.example=2C?=",
    "=?gb18030?Q?x?=",
    "=?x-unknown?Q?Ann?=",
    "=?utf-8?X?Ann?=",
    "=?utf-8?Q?Ann",
    "?=",
    "=?",
    "=40",
    "@",
    "ceo@victim.example",
    "ceo @ victim.example",
    "Team:",
    "Team: ;",
    ";",
    ":",
    ",",
    "<>",
    "<",
    ">",
    "[x]",
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{85}",
    "\u{a0}",
    "\u{ff20}",
    "\u{feff}",
    "\u{fe6b}",
    "\u{0}",
    "\u{b}",
    "\u{c}",
    "\u{1c}",
    "\u{1b}$B",
];

/// How many of the names are honest, and of the addresses: they stand first.
const HONEST_NAMES: usize = 14;
const HONEST_ADDRESSES: usize = 14;

const BLANKS: &[&str] = &[
    "",
    "",
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\r\n ",
    "\r\n\t",
    " \r\n ",
    "\r\n \r\n ",
];

const FIELDS: &[&str] = &[
    "From: ",
    "From: ",
    "From:",
    "from: ",
    "FROM:\t",
    "From:\r\n ",
    "Sender: ",
    "Resent-From: ",
    "Resent-Sender: ",
    "From : ",
    " From: ",
    "X-From: ",
    "Subject: ",
    "Subject: x\r\n From: ",
    "To: ",
    "From ",
];

/// Octets that mean something to readers.
const SPECIALS: &[u8] = b"\"\\()<>@,;:.[]=? \t\r\n\x80\xa0\xff\x00";

/// A header section. `kept` are sections to change.
pub fn section(chance: &mut Chance, kept: &[Vec<u8>]) -> Vec<u8> {
    let mut section = match chance.below(8) {
        0..=4 => fields(chance),
        _ => kept[chance.below(kept.len())].clone(),
    };
    if chance.one_in(3) {
        for _ in 0..=chance.below(4) {
            change(chance, &mut section, kept);
        }
    }
    section
}

fn fields(chance: &mut Chance) -> Vec<u8> {
    let mut section = field(chance, "From: ");
    if chance.one_in(4) {
        let name = chance.pick(FIELDS);
        let other = field(chance, name);
        if chance.one_in(2) {
            section.extend(other);
        } else {
            section.splice(0..0, other);
        }
    }
    section
}

fn field(chance: &mut Chance, name: &str) -> Vec<u8> {
    let mut text = String::from(name);
    let is_odd = chance.one_in(2);
    for number in 0..=[0, 0, 0, 1, 1, 2, 5][chance.below(7)] {
        if number > 0 {
            text.push(',');
        }
        mailbox(chance, &mut text, is_odd);
    }
    text.push_str("\r\n");
    if chance.one_in(20) {
        // In the character set of an old program.
        return text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect();
    }
    text.into_bytes()
}

fn mailbox(chance: &mut Chance, text: &mut String, is_odd: bool) {
    let blank = |chance: &mut Chance| chance.pick(BLANKS);
    let name = |chance: &mut Chance| {
        let end = if is_odd && chance.one_in(2) {
            NAMES.len()
        } else {
            HONEST_NAMES
        };
        NAMES[chance.below(end)]
    };
    let address = |chance: &mut Chance| {
        let end = if is_odd && chance.one_in(3) {
            ADDRESSES.len()
        } else {
            HONEST_ADDRESSES
        };
        ADDRESSES[chance.below(end)]
    };
    text.push_str(blank(chance));
    for _ in 0..chance.below(4) {
        text.push_str(name(chance));
        text.push_str(blank(chance));
    }
    if chance.one_in(4) {
        text.push_str(address(chance));
    } else {
        text.push('<');
        text.push_str(if is_odd { blank(chance) } else { "" });
        text.push_str(address(chance));
        text.push_str(if is_odd { blank(chance) } else { "" });
        text.push('>');
    }
    text.push_str(blank(chance));
    if chance.one_in(4) {
        text.push_str(name(chance));
        text.push_str(blank(chance));
    }
}

fn change(chance: &mut Chance, section: &mut Vec<u8>, kept: &[Vec<u8>]) {
    if section.is_empty() {
        return;
    }
    let at = chance.below(section.len());
    let length = 1 + chance.below(8.min(section.len() - at));
    match chance.below(6) {
        0 => drop(section.drain(at..at + length)),
        1 => section.insert(at, SPECIALS[chance.below(SPECIALS.len())]),
        2 => section[at] = SPECIALS[chance.below(SPECIALS.len())],
        3 => {
            let copy = section[at..at + length].to_vec();
            let to = chance.below(section.len());
            section.splice(to..to, copy);
        }
        4 => {
            let piece = if chance.one_in(2) {
                chance.pick(NAMES)
            } else {
                chance.pick(ADDRESSES)
            };
            section.splice(at..at, piece.bytes());
        }
        _ => {
            let other = &kept[chance.below(kept.len())];
            let from = chance.below(other.len().max(1));
            let piece: Vec<u8> = other
                .iter()
                .skip(from)
                .take(1 + chance.below(30))
                .copied()
                .collect();
            section.splice(at..at, piece);
        }
    }
}
