//! The fixed replies of a server session.
//!
//! Every 2yz, 4yz and 5yz carries an enhanced code (RFC 2034 §3) but for the greeting and the replies
//! to EHLO and HELO. None repeats what the client has sent, and none tells of our insides.

// RFC 5321 §4.2.3, RFC 3463, RFC 5248.
pub(super) const OK: &str = "250 2.0.0 Ok";
pub(super) const BYE: &str = "221 2.0.0 Bye";
pub(super) const HELP: &str = "214 2.0.0 See RFC 5321";
pub(super) const VRFY: &str = "252 2.1.5 Cannot verify the user, but will take mail for delivery";
pub(super) const SENDER_OK: &str = "250 2.1.0 Sender ok";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 Recipient ok";
pub(super) const START_CONTENT: &str = "354 End data with <CR><LF>.<CR><LF>";
pub(super) const CHUNK_OK: &str = "250 2.0.0 Chunk ok";
pub(super) const MESSAGE_OK: &str = "250 2.0.0 Message accepted";

pub(super) const UNKNOWN_COMMAND: &str = "500 5.5.1 Command not recognized";
pub(super) const UNIMPLEMENTED: &str = "502 5.5.1 Command not implemented";
pub(super) const NOT_TEXT: &str = "500 5.5.2 Lines are text and end with CRLF";
pub(super) const LINE_TOO_LONG: &str = "500 5.5.2 Line too long";
pub(super) const NO_ARGUMENTS: &str = "501 5.5.4 The command takes no arguments";
pub(super) const HELLO_SYNTAX: &str = "501 5.5.4 A domain or an address literal is needed";
pub(super) const MAIL_SYNTAX: &str = "501 5.5.4 Syntax: MAIL FROM:<address>";
pub(super) const RCPT_SYNTAX: &str = "501 5.5.4 Syntax: RCPT TO:<address>";
pub(super) const BDAT_SYNTAX: &str = "501 5.5.4 Syntax: BDAT size [LAST]";
pub(super) const VRFY_SYNTAX: &str = "501 5.5.4 Syntax: VRFY address";
pub(super) const SENDER_SYNTAX: &str = "501 5.1.7 Bad sender address syntax";
pub(super) const RECIPIENT_SYNTAX: &str = "501 5.1.3 Bad recipient address syntax";
pub(super) const PARAMETER_SYNTAX: &str = "501 5.5.4 Bad parameter syntax";
pub(super) const PARAMETER_UNKNOWN: &str = "555 5.5.4 Parameter not recognized or not implemented";
// RFC 8689 §2.
pub(super) const REQUIRETLS_IN_CLEAR: &str = "555 5.5.4 REQUIRETLS is taken under TLS only";
// RFC 4865 §4.2.
pub(super) const HELD_TOO_LONG: &str = "501 5.5.4 A message is not held for so long";
// RFC 4865 §5.2.2.
pub(super) const HELD_TOO_LATE: &str =
    "501 5.5.4 A message is not held beyond the time by which it is to be delivered";
// RFC 2852 §3, §4.
pub(super) const BY_TOO_SOON: &str = "555 5.5.4 A message is not returned so soon";
// RFC 6531 §3.5 has 550 for MAIL and 553 for RCPT.
pub(super) const SENDER_NOT_ASCII: &str = "550 5.6.7 The sender address needs SMTPUTF8";
pub(super) const RECIPIENT_NOT_ASCII: &str = "553 5.6.7 The recipient address needs SMTPUTF8";

pub(super) const HELLO_FIRST: &str = "503 5.5.1 Send EHLO first";
pub(super) const MAIL_FIRST: &str = "503 5.5.1 Send MAIL first";
pub(super) const RCPT_FIRST: &str = "503 5.5.1 Send RCPT first";
pub(super) const NO_RECIPIENT: &str = "554 5.5.1 No valid recipients";
pub(super) const NESTED_MAIL: &str = "503 5.5.1 A transaction is open already";
pub(super) const CHUNK_LACKS: &str = "503 5.5.1 A chunk was refused, send RSET first";
pub(super) const AFTER_BDAT: &str = "503 5.5.1 Not allowed after BDAT";

// RFC 1870 §6.1, RFC 5321 §4.5.3.1.10.
pub(super) const TOO_LARGE: &str = "552 5.3.4 Message exceeds the maximum size";
pub(super) const TOO_MANY_RECIPIENTS: &str = "452 4.5.3 Too many recipients";
pub(super) const BARE_LINE_END: &str = "550 5.6.11 Bare CR or LF in the content";
pub(super) const CONTENT_LINE_TOO_LONG: &str = "550 5.6.0 The content has a line that is too long";

// RFC 3207 §4.
pub(super) const TLS_READY: &str = "220 2.0.0 Ready to start TLS";
pub(super) const TLS_ALREADY: &str = "503 5.5.1 TLS is active already";
pub(super) const TLS_NOT_OFFERED: &str = "502 5.5.1 TLS is not offered";
pub(super) const TLS_FIRST: &str = "530 5.7.0 Must issue a STARTTLS command first";

// RFC 4954 §4, §6.
pub(super) const AUTH_OK: &str = "235 2.7.0 Authentication successful";
pub(super) const AUTH_REQUIRED: &str = "530 5.7.0 Authentication required";
pub(super) const AUTH_NEEDS_TLS: &str = "538 5.7.11 Encryption required for authentication";
pub(super) const AUTH_ALREADY: &str = "503 5.5.1 Authenticated already";
pub(super) const AUTH_SYNTAX: &str = "501 5.5.4 Syntax: AUTH mechanism [initial-response]";
pub(super) const AUTH_UNKNOWN: &str = "504 5.5.4 Mechanism not offered";
pub(super) const AUTH_MALFORMED: &str = "501 5.5.2 Cannot decode the response";
pub(super) const AUTH_CANCELLED: &str = "501 5.7.0 Authentication cancelled";
pub(super) const AUTH_LINE_TOO_LONG: &str = "500 5.5.6 Authentication exchange line is too long";
// The blank behind 334 belongs to it.
pub(super) const CHALLENGE_EMPTY: &str = "334 ";
pub(super) const CHALLENGE_NAME: &str = "334 VXNlcm5hbWU6";
pub(super) const CHALLENGE_PASSWORD: &str = "334 UGFzc3dvcmQ6";

pub(super) const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors";
pub(super) const TOO_MANY_LOGINS: &str = "421 4.7.0 Too many failed logins";
pub(super) const TOO_MANY_COMMANDS: &str = "421 4.7.0 Too many commands without a login";
pub(super) const TOO_MANY_IDLE_COMMANDS: &str = "421 4.7.0 Too many commands without a message";
