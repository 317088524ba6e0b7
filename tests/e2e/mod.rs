//! The relay as a program, from outside: real sockets, real clients, real next hops.

mod accounts;
mod activation;
mod admin;
mod backup;
mod clients;
mod configuration;
mod crash;
mod delivery;
mod durability;
mod floods;
mod install;
mod listeners;
mod metrics;
mod misbehaving;
mod notification;
mod packaging;
mod policy;
mod priority;
mod readme;
mod reload;
mod routes;
mod senders;
mod shutdown;
mod submission;
mod tls;
mod upgrade;
