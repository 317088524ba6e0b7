//! The relay as a program, from outside: real sockets, real clients, real next hops.

mod accounts;
mod clients;
mod crash;
mod listeners;
mod priority;
mod receivers;
mod senders;
mod submission;
mod tls;
mod urgency;
