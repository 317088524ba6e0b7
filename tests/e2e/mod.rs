//! The relay as a program, from outside: real sockets, real clients, real next hops.

mod clients;
mod crash;
mod listeners;
mod receivers;
mod submission;
mod tls;
mod urgency;
