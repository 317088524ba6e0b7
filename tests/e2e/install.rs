//! What `make test` installs first, and what it says where it cannot.
//!
//! The script sees a machine that has nothing but the programs that a test puts there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::top;

/// A copy of the script in a folder of its own, and the programs that it finds.
struct Machine(TempDir);

impl Machine {
    /// One with a shell and no package manager.
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir(machine.at("bin")).unwrap();
        fs::create_dir(machine.at("tests")).unwrap();
        fs::copy(
            top().join("tests/install.sh"),
            machine.at("tests/install.sh"),
        )
        .unwrap();
        let requirements = "tests/schemathesis/requirements.txt";
        fs::create_dir(machine.at("tests/schemathesis")).unwrap();
        fs::copy(top().join(requirements), machine.at(requirements)).unwrap();
        for program in [
            "bash", "chmod", "cmp", "cp", "dirname", "env", "grep", "mkdir",
        ] {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            let found = found.iter().find(|path| path.exists()).unwrap();
            symlink(found, machine.at("bin").join(program)).unwrap();
        }
        machine.with("id", "echo 1000")
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    /// With a program that does this.
    fn with(self, program: &str, script: &str) -> Self {
        let path = self.at("bin").join(program);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With Debian's package manager, where nothing is installed.
    fn with_apt(self) -> Self {
        let noted = self.at("apt").display().to_string();
        self.with("dpkg-query", "exit 1")
            .with("apt-get", &format!("echo \"$@\" >> {noted}"))
    }

    /// With every program that the tests use.
    fn with_all_tools(mut self) -> Self {
        for program in [
            "swaks",
            "curl",
            "openssl",
            "msmtp",
            "smtp-sink",
            "node",
            "npm",
            "strace",
            "chromium",
            "chromedriver",
            "perl",
            "exim4",
            "smtpd",
        ] {
            self = self.with(program, "exit 0");
        }
        self.with("rustup", "echo wasm32-unknown-unknown")
            .with_python()
    }

    /// With a Python that makes environments, and in them a pip that has everything.
    fn with_python(self) -> Self {
        self.with(
            "python3",
            "[ \"$2\" != venv ] || { mkdir -p \"$4/bin\" && echo 'exit 0' > \"$4/bin/pip\" && chmod +x \"$4/bin/pip\"; }",
        )
    }

    /// Whether it succeeds, and what it says.
    fn installs(&self) -> (bool, String) {
        let output = Command::new("bash")
            .arg(self.at("tests/install.sh"))
            .env("PATH", self.at("bin"))
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// What was asked of the package manager.
    fn asked(&self) -> String {
        fs::read_to_string(self.at("apt")).unwrap_or_default()
    }
}

#[test]
fn where_everything_is_there_nothing_is_installed() {
    let machine = Machine::new().with_all_tools();
    assert_eq!(machine.installs(), (true, String::new()));
}

#[test]
fn without_a_package_manager_it_names_what_is_missing() {
    let (done, said) = Machine::new().installs();
    assert!(!done);
    assert!(said.contains("please install them: swaks curl"), "{said}");
    assert!(
        said.contains("rustup target add wasm32-unknown-unknown"),
        "{said}"
    );
}

#[test]
fn who_may_not_install_is_told_what_root_would_type() {
    let machine = Machine::new().with_apt();
    let (done, said) = machine.installs();
    assert!(!done);
    assert!(
        said.contains("as root: apt-get install swaks curl"),
        "{said}"
    );
    assert_eq!(machine.asked(), "");
}

#[test]
fn an_ordinary_user_installs_through_sudo() {
    let machine = Machine::new()
        .with_apt()
        .with("sudo", "exec \"$@\"")
        .with("npm", "exit 0")
        .with_python();
    let (done, said) = machine.installs();
    assert!(done, "{said}");
    let asked = machine.asked();
    assert!(asked.starts_with("update -qq\ninstall "), "{asked}");
    assert!(asked.contains(" swaks curl "), "{asked}");
    assert!(asked.contains(" rustc-web "), "{asked}");
}

#[test]
fn an_environment_is_made_anew_when_what_is_in_it_changes_and_named_when_it_cannot_be() {
    let machine = Machine::new().with_all_tools();
    assert!(machine.installs().0);
    let machine = machine.with("python3", "[ \"$2\" != venv ]");
    assert_eq!(machine.installs(), (true, String::new()));
    fs::write(machine.at("tests/schemathesis/requirements.txt"), "other").unwrap();
    let (done, said) = machine.installs();
    assert!(!done);
    assert!(said.contains("schemathesis cannot be fetched"), "{said}");
}

#[test]
fn without_the_compiler_for_c_the_tests_go_on() {
    let machine = Machine::new().with_apt().with_all_tools();
    let (done, said) = machine.installs();
    assert!(done, "{said}");
    assert!(said.contains("going on without clang-22"), "{said}");
}
