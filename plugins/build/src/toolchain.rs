//! Which compiler makes the guests: the user's own when it has the wasm target, else Debian's.
//!
//! A person with rustup has added the target and needs nothing special. Debian packages the sources
//! of the standard library beside its compiler; from them the library is built for wasm, with LLD
//! as the linker. Both give a component that behaves the same; only the same compiler gives the same
//! bytes, which is why its version is written down.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of every guest: no system interface, so a component imports only the contract.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A way to compile a guest.
#[derive(Debug)]
pub struct Toolchain {
    /// What decides the bytes: the compiler's version, whose standard library, the linker's version.
    pub version: String,
    cargo: PathBuf,
    rustc: PathBuf,
    /// Where the sources of the standard library may appear in a binary.
    pub sysroot: PathBuf,
    /// The linker, when the standard library is built along.
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// Finds one: the user's way first.
    pub fn find() -> Result<Self> {
        if let Some(own) = Self::own()? {
            return Ok(own);
        }
        if let Some(debian) = Self::debian()? {
            return Ok(debian);
        }
        bail!(
            "no compiler for {TARGET} found: with rustup, `rustup target add {TARGET}`; on Debian, \
             `apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22`"
        )
    }

    /// The compiler that cargo uses here, when it has the target.
    fn own() -> Result<Option<Self>> {
        let rustc = std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
        let Ok(sysroot) = print(&rustc, &["--print", "sysroot"]) else {
            return Ok(None);
        };
        let sysroot = PathBuf::from(sysroot);
        let has_target = sysroot
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir();
        // The programs themselves and not rustup's stand-ins, which choose again in each folder.
        let (cargo, rustc) = (sysroot.join("bin/cargo"), sysroot.join("bin/rustc"));
        if !has_target || !cargo.exists() || !rustc.exists() {
            return Ok(None);
        }
        let version = format!("{}, its own std", print(&rustc, &["--version"])?);
        Ok(Some(Self {
            version,
            cargo,
            rustc,
            sysroot,
            linker: None,
        }))
    }

    /// Debian's compiler, when the sources of its standard library and a linker are there.
    fn debian() -> Result<Option<Self>> {
        let (cargo, rustc) = (
            PathBuf::from("/usr/bin/cargo"),
            PathBuf::from("/usr/bin/rustc"),
        );
        if !cargo.exists() || !rustc.exists() {
            return Ok(None);
        }
        let sysroot = PathBuf::from(print(&rustc, &["--print", "sysroot"])?);
        let has_sources = sysroot.join("lib/rustlib/src/rust/library/std").is_dir();
        let Some(linker) = linker().filter(|_| has_sources) else {
            return Ok(None);
        };
        let version = format!(
            "{}, std from its sources, {}",
            print(&rustc, &["--version"])?,
            print(&linker, &["--version"])?
        );
        Ok(Some(Self {
            version,
            cargo,
            rustc,
            sysroot,
            linker: Some(linker),
        }))
    }

    /// The command that builds something for the target in release mode, without its subject.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        // What the surrounding cargo says of itself must not reach the one that is started here.
        for (name, _) in std::env::vars_os() {
            let foreign = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_")
                    || name.starts_with("CARGO_PROFILE_")
                    || name.starts_with("CARGO_BUILD_")
                    || matches!(
                        name,
                        "CARGO" | "RUSTUP_TOOLCHAIN" | "RUSTC_WRAPPER" | "RUSTFLAGS"
                    )
            });
            if foreign {
                command.env_remove(name);
            }
        }
        command.env("RUSTC", &self.rustc);
        command.args(["build", "--release", "--target", TARGET]);
        if let Some(linker) = &self.linker {
            // The bootstrap variable lets a released compiler build its own library.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// The newest `wasm-ld` that Debian installed.
fn linker() -> Option<PathBuf> {
    let number = |path: &Path| {
        path.file_name()?
            .to_str()?
            .strip_prefix("wasm-ld-")?
            .parse()
            .ok()
    };
    let files = std::fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let newest = files
        .filter_map(|path| Some((number(&path)?, path)))
        .max_by_key(|(n, _): &(u32, _)| *n);
    newest.map(|(_, path)| path)
}

/// What a program prints, without the end of the line.
fn print(program: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(OsString::from));
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("{} {} failed", program.display(), arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
