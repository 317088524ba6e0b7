//! The SMTP protocol core.
