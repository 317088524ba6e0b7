//! The `outpost` program: reads what was typed and hands it on.

mod allocator;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use outpost::admin::Protection;
use outpost::cli::{self, Cli, Command, Remote};
use outpost::config::{self, Config, ConfigError, Mistake, Reading};
use outpost::demo::DemoError;
use outpost::net::Passed;
use outpost::relay::{self, Asked, Relay, Signals, Supervisor};
use outpost::telemetry;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help, or the version.
        Err(asked) if !asked.use_stderr() => {
            let said = asked.print().and_then(|()| io::stdout().flush());
            return match said.map_err(Unanswered::from) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            };
        }
        Err(error) => error.exit(),
    };
    let reading = || config::read(cli.config.as_deref());
    match cli.command {
        // A sink has no configuration.
        Some(Command::Sink(options)) => {
            telemetry::start_logs(&telemetry::Settings::default());
            run(cli::receive(options, relay::wait_for_stop()))
        }
        // Nor has a demonstration, and the screen is its own.
        Some(Command::Demo(options)) => run(demonstrate(options)),
        Some(Command::Check) => match reading() {
            Ok(reading) => run(check(reading)),
            Err(error) => failed(&error),
        },
        Some(Command::Route(command)) => match reading().and_then(Reading::into_config) {
            Ok(config) => run(route(config, command)),
            Err(error) => failed(&error),
        },
        Some(Command::Restore(command)) if command.print_config => {
            match cli::print_configuration(&command) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            }
        }
        Some(Command::Restore(command)) => match reading().and_then(Reading::into_config) {
            Ok(config) => match cli::restore(&command, &config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            },
            Err(error) => failed(&error),
        },
        None | Some(Command::Serve) => match reading() {
            Ok(reading) => begin(reading),
            Err(error) => failed(&error),
        },
        Some(Command::Remote(remote)) => {
            match reading().and_then(|reading| of_relay(&remote, reading)) {
                Ok(config) => {
                    let access = cli::Access {
                        address: config.admin.address,
                        token_file: config.data_dir.join("admin-token"),
                        tls: match config.admin.protection {
                            Protection::None => None,
                            Protection::Tls => Some(config.tls.clone()),
                        },
                    };
                    cli::administer(&remote, &access)
                }
                Err(error) => failed(&error),
            }
        }
    }
}

/// What is known about the relay that runs. It goes on with the configuration that it has read, so that a
/// mistake elsewhere in the file is no reason not to ask it; at a reload it tells the mistakes itself.
fn of_relay(remote: &Remote, reading: Reading) -> Result<Config, ConfigError> {
    if !reading.tells_where_the_relay_is() {
        return reading.into_config();
    }
    let (config, mistakes) = (reading.config, reading.mistakes.len());
    if let Some(file) = &config.file
        && mistakes > 0
        && !matches!(remote, Remote::Reload(_))
    {
        let file = file.display();
        let mistakes = match mistakes {
            1 => "a mistake".to_owned(),
            _ => format!("{mistakes} mistakes"),
        };
        // Whoever does not read it goes without.
        let _ = writeln!(
            io::stderr(),
            "outpost: {file}: note: it has {mistakes}, which `outpost check` tells"
        );
    }
    Ok(config)
}

fn begin(reading: Reading) -> ExitCode {
    let notes = reading.notes.clone();
    let config = match reading.into_config() {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    telemetry::start_logs(&config.log);
    for Mistake { line, key, text } in notes {
        tracing::warn!(line, key, "a setting {text}");
    }
    // Before there are threads.
    let passed = Passed::take();
    run(serve(config, passed))
}

async fn serve(config: Config, passed: Passed) -> Result<(), Failure> {
    tokio::spawn(allocator::give_back_now_and_then());
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let relay = tokio::select! {
        relay = Relay::start(config, passed) => relay?,
        // Nobody has been served yet.
        () = signals.stop() => return Ok(()),
    };
    // Whether anybody reads it, or the log, makes no difference to mail.
    let _ = writeln!(std::io::stdout(), "{}", relay.greeting());
    let supervisor = Supervisor::begin(relay.status());
    while signals.next().await == Asked::Reload {
        supervisor.reloading();
        tokio::select! {
            // What came of it stands in the log.
            _ = relay.reload() => supervisor.ready(),
            () = signals.stop() => break,
        }
    }
    supervisor.stopping();
    tokio::select! {
        () = relay.stop() => Ok(()),
        () = signals.stop() => Err(Failure::Hurried),
    }
}

/// A terminal that is closed ends it too, so that nothing stays behind.
async fn demonstrate(options: cli::DemoCommand) -> Result<(), Unanswered> {
    let signals = Signals::listen();
    let deaf = |error| Unanswered::Wanting(format!("signals cannot be received: {error}"));
    let mut signals = signals.map_err(deaf)?;
    let stop = async move {
        // Whatever is asked for: there is nothing to read again.
        let _ = signals.next().await;
    };
    let demonstrated = cli::demonstrate(options, stop).await;
    demonstrated.map_err(|error| match error {
        DemoError::Output(error) => error.into(),
        error => Unanswered::Demonstration(error),
    })
}

/// Why the relay did not serve until it was told to stop.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] relay::StartError),
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    #[error("ended at once by a second signal; what was under way is cut off")]
    Hurried,
}

/// Why a command did not answer what was asked.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    #[error(transparent)]
    Demonstration(DemoError),
    /// The answer is given, and it is not the good one.
    #[error("{0}")]
    Wanting(String),
    /// The reader of our output went away; nobody is left to tell.
    #[error("")]
    Unheard,
    #[error("the answer cannot be written: {0}")]
    Output(io::Error),
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Unanswered::Unheard,
            _ => Unanswered::Output(error),
        }
    }
}

/// Says what was asked for, all of it, on standard output.
fn say(answer: &str) -> Result<(), Unanswered> {
    let mut out = io::stdout().lock();
    let said = out.write_all(answer.as_bytes()).and_then(|()| out.flush());
    said.map_err(Unanswered::from)
}

async fn check(reading: Reading) -> Result<(), Unanswered> {
    let reading = relay::check(reading).await;
    let file = reading.config.file.clone();
    if let Some(file) = &file {
        for note in &reading.notes {
            // Whoever does not read it goes without.
            let _ = writeln!(io::stderr(), "outpost: {}: note: {note}", file.display());
        }
    }
    reading.into_config()?;
    match &file {
        Some(file) => say(&format!("{}: the configuration is good\n", file.display())),
        None => say("no outpost.toml here: the built-in defaults are served, on loopback only\n"),
    }
}

async fn route(config: Config, command: cli::RouteCommand) -> Result<(), Unanswered> {
    let reverse_path = command.reverse_path();
    let source = outpost::message::Source {
        reverse_path: &reverse_path,
        list: &command.list,
    };
    let paths = relay::paths(&config, source, &command.recipients).await;
    let lost = paths.iter().filter(|path| !path.leads_somewhere()).count();
    if command.output.json {
        let paths: Vec<_> = paths.iter().map(relay::Path::to_json).collect();
        say(&format!("{}\n", serde_json::Value::from(paths)))?;
    } else {
        say(&paths.iter().map(ToString::to_string).collect::<String>())?;
    }
    match lost {
        0 => Ok(()),
        1 => Err(Unanswered::Wanting(
            "no host takes the mail of 1 recipient".to_owned(),
        )),
        _ => Err(Unanswered::Wanting(format!(
            "no host takes the mail of {lost} recipients"
        ))),
    }
}

/// Longest time for what is under way on threads when all is done: passwords that are checked take a tenth of it, and
/// a file that never answers must not keep the program from ending.
const END_WITHIN: Duration = Duration::from_secs(5);

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
        Ok(()) => {
            runtime.shutdown_timeout(END_WITHIN);
            ExitCode::SUCCESS
        }
        Err(error) => {
            // What is under way on threads is not waited for: nothing of it is of use any more.
            runtime.shutdown_background();
            failed(&error)
        }
    }
}

fn failed(error: &impl std::fmt::Display) -> ExitCode {
    for line in error.to_string().lines() {
        let _ = writeln!(std::io::stderr(), "outpost: {line}");
    }
    ExitCode::FAILURE
}
