//! Exim and OpenSMTPD: mail servers of which a system has one at a time, each in a world of its own.
//!
//! `tests/install.sh` unpacks them into the build folder. Their users, and the folders that they insist on,
//! exist only in the mount namespace that each is started in, so nothing of the system is changed and
//! tests do not meet.
//!
//! Each listens where the relay of its address sends to and offers STARTTLS. Mail for `d.example` it hands on
//! to a sink behind it, but for unknown@, whom it refuses; all other mail it hands to the relay, over TLS and
//! with a login.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::relay::{SINK, SMTP};
use super::{Program, is_root, outpost, run, wait_until};

/// Where the sink behind a peer listens.
pub const BEHIND: u16 = SINK + 2;

/// Users that the system does not have.
const EXIM: (&str, u32) = ("Debian-exim", 64_001);
const SMTPD: (&str, u32) = ("opensmtpd", 64_002);
const SMTPQ: (&str, u32) = ("opensmtpq", 64_003);

/// A mail server that runs until it is dropped.
pub struct Peer {
    _program: Program,
    folder: TempDir,
}

impl Peer {
    /// Exim for the relay of that address, where it logs in as `name`; none, and why, where it cannot run.
    pub fn exim(ip: IpAddr, name: &str, password: &str) -> Option<Peer> {
        let program = program("exim4")?;
        let folder = folder_with_certificate();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["spool", "log"] {
            fs::create_dir(at(name)).unwrap();
        }
        for name in ["spool", "log", "cert.pem", "key.pem"] {
            chown(at(name), Some(EXIM.1), Some(EXIM.1)).unwrap();
        }
        let configuration = format!(
            "primary_hostname = exim.test\nexim_user = Debian-exim\nexim_group = Debian-exim\n\
             spool_directory = {spool}\nlog_file_path = {log}/%s\npid_file_path = {log}/pid\n\
             deliver_drop_privilege = true\nkeep_environment =\n\
             tls_advertise_hosts = *\ntls_certificate = {certificate}\ntls_privatekey = {key}\n\
             chunking_advertise_hosts = *\nacl_smtp_rcpt = rcpt\nacl_smtp_data = data\n\
             begin acl\n\
             rcpt:\n  deny message = nobody of this name\n    local_parts = unknown\n  accept\n\
             data:\n  accept\n\
             begin routers\n\
             behind:\n  driver = manualroute\n  domains = d.example\n  transport = plain\n\
             \x20 route_list = * {ip}::{BEHIND}\n  self = send\n\
             relay:\n  driver = manualroute\n  transport = smarthost\n\
             \x20 route_list = * {ip}::{SMTP}\n  self = send\n\
             begin transports\n\
             plain:\n  driver = smtp\n\
             smarthost:\n  driver = smtp\n  hosts_require_auth = *\n  hosts_require_tls = *\n\
             \x20 tls_verify_certificates =\n\
             begin retry\n* * F,1h,1s\n\
             begin authenticators\n\
             relay:\n  driver = plaintext\n  public_name = PLAIN\n\
             \x20 client_send = ^{name}^{password}\n",
            spool = at("spool"),
            log = at("log"),
            certificate = at("cert.pem"),
            key = at("key.pem"),
        );
        fs::write(at("exim.conf"), configuration).unwrap();
        let start = format!(
            "exec {} -C {} -bdf -oX {ip}.{SINK}",
            program.display(),
            at("exim.conf")
        );
        Some(Self::start(folder, &[EXIM], &start, ip))
    }

    /// OpenSMTPD for the relay of that address, likewise.
    pub fn opensmtpd(ip: IpAddr, name: &str, password: &str) -> Option<Peer> {
        let program = program("smtpd")?;
        let folder = folder_with_certificate();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("secrets"), format!("relay {name}:{password}\n")).unwrap();
        for name in ["secrets", "key.pem"] {
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let configuration = format!(
            "pki d.example cert \"{}\"\npki d.example key \"{}\"\ntable secrets file:{}\n\
             listen on {ip} port {SINK} tls pki d.example hostname smtpd.test\n\
             action \"behind\" relay host smtp://{ip}:{BEHIND}\n\
             action \"relay\" relay host smtp+tls://relay@{ip}:{SMTP} auth <secrets> tls no-verify\n\
             match from any for rcpt-to \"unknown@d.example\" reject\n\
             match from any for domain d.example action \"behind\"\n\
             match from any for any action \"relay\"\n",
            at("cert.pem"),
            at("key.pem"),
            at("secrets"),
        );
        fs::write(at("smtpd.conf"), configuration).unwrap();
        let start = format!(
            "for folder in /var/spool /var/lib /run; do mount -t tmpfs tmpfs $folder; done\n\
             mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd\n\
             chmod 711 /var/lib/opensmtpd/empty /var/spool/smtpd\n\
             exec {} -d -f {}",
            program.display(),
            at("smtpd.conf")
        );
        Some(Self::start(folder, &[SMTPD, SMTPQ], &start, ip))
    }

    /// What Exim has logged of the messages that it took.
    pub fn exim_arrivals(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log/main")).unwrap();
        let arrivals = log.lines().filter(|line| line.contains(" <= "));
        arrivals.map(str::to_owned).collect()
    }

    fn start(folder: TempDir, users: &[(&str, u32)], start: &str, ip: IpAddr) -> Peer {
        for (system, line) in [
            (
                "/etc/passwd",
                "NAME:x:ID:ID::/nonexistent:/usr/sbin/nologin\n",
            ),
            ("/etc/group", "NAME:x:ID:\n"),
        ] {
            let mut text = fs::read_to_string(system).unwrap();
            for (name, id) in users {
                text += &line.replace("NAME", name).replace("ID", &id.to_string());
            }
            let file = Path::new(system).file_name().unwrap();
            fs::write(folder.path().join(file), text).unwrap();
        }
        let script = format!(
            "set -e\nfor file in passwd group; do mount --bind {}/$file /etc/$file; done\n{start}\n",
            folder.path().display()
        );
        let program = Program::start(in_a_namespace().args(["sh", "-c", &script]));
        wait_until("the peer listens", || {
            std::net::TcpStream::connect((ip, SINK)).is_ok()
        });
        Peer {
            _program: program,
            folder,
        }
    }
}

fn in_a_namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command
}

/// Where a program was unpacked or is installed; none, and why, where it cannot be run.
fn program(name: &str) -> Option<PathBuf> {
    let build = outpost().parent().unwrap().parent().unwrap().to_owned();
    let places = [build.join("peers"), PathBuf::from("/")];
    let found = places.map(|place| place.join("usr/sbin").join(name));
    let why = match found.into_iter().find(|path| path.exists()) {
        None => format!("{name} is missing: tests/install.sh brings it"),
        Some(_) if !is_root() => format!("{name} can only be started by root"),
        Some(_) if !run(in_a_namespace().arg("true")).status.success() => {
            format!("{name} needs a mount namespace, and none can be made here")
        }
        Some(path) => return Some(path),
    };
    eprintln!("not shown: {why}");
    None
}

fn folder_with_certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // The servers run as users of their own.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["mx.d.example".into()]).unwrap();
    fs::write(folder.path().join("cert.pem"), certified.cert.pem()).unwrap();
    let key = certified.signing_key.serialize_pem();
    fs::write(folder.path().join("key.pem"), key).unwrap();
    folder
}
