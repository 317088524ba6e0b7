//! The relay as a program, from outside: real sockets, real clients, real next hops.

mod clients;
mod listeners;
mod submission;
mod tls;
