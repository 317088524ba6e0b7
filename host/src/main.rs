//! The `outpost` program: reads what was typed and hands it on.

use std::process::ExitCode;

use clap::Parser;
use outpost::cli::{self, Cli, Command};
use outpost::config::{self, Config};
use outpost::relay::{self, Relay};
use outpost::telemetry;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Sink(options)) => run(cli::receive(options, relay::wait_for_stop())),
        command => match config::load(cli.config.as_deref()) {
            Ok(config) => with_config(command, config),
            Err(error) => failed(&error),
        },
    }
}

fn with_config(command: Option<Command>, config: Config) -> ExitCode {
    match command {
        None | Some(Command::Serve) => {
            telemetry::start_logs(&config.log);
            run(serve(config))
        }
        Some(Command::Check) => run(check(config)),
        Some(Command::Remote(remote)) => {
            let access = cli::Access {
                address: config.admin.address,
                token_file: config.data_dir.join("admin-token"),
            };
            cli::administer(&remote, &access)
        }
        // Handled before the configuration was read: a sink has none.
        Some(Command::Sink(options)) => run(cli::receive(options, relay::wait_for_stop())),
    }
}

async fn serve(config: Config) -> Result<(), relay::StartError> {
    let relay = Relay::start(config).await?;
    println!("{}", relay.greeting());
    relay::wait_for_stop().await;
    relay.stop().await;
    Ok(())
}

async fn check(config: Config) -> Result<(), relay::StartError> {
    relay::check(&config).await?;
    match &config.file {
        Some(file) => println!("{}: the configuration is good", file.display()),
        None => {
            println!("no outpost.toml here: the built-in defaults are served, on loopback only")
        }
    }
    Ok(())
}

/// Runs a task to its end on the runtime of this program.
fn run<E: std::fmt::Display>(task: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &impl std::fmt::Display) -> ExitCode {
    for line in error.to_string().lines() {
        eprintln!("outpost: {line}");
    }
    ExitCode::FAILURE
}
