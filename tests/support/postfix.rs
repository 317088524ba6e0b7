//! Postfix as a next hop: a whole mail system in a folder of its own.
//!
//! It takes mail for `d.example`: known@ is delivered into a folder, slow@ is put off until
//! [`Postfix::relent`], everybody else is unknown. It offers STARTTLS.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::relay::{SINK, SMTP};
use super::{run, wait_until};

pub struct Postfix {
    folder: TempDir,
    ip: IpAddr,
    /// Settings beside those of every Postfix here.
    more: String,
}

impl Postfix {
    /// Starts it where the relay of that address sends to. Needs to run as root, as Postfix does.
    pub fn start(ip: IpAddr) -> Postfix {
        Self::start_with(ip, String::new())
    }

    /// Starts one that hands all other mail to the relay of that address, over TLS and with a login.
    pub fn start_as_client(ip: IpAddr, name: &str, password: &str) -> Postfix {
        let more = format!(
            "relayhost = [{ip}]:{SMTP}\nsmtp_tls_security_level = encrypt\n\
             smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n\
             smtp_sasl_password_maps = inline:{{ {{[{ip}]:{SMTP}={name}:{password}}} }}\n\
             mynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
        );
        Self::start_with(ip, more)
    }

    /// One that is overloaded, and so waits for ten seconds, and for its whole request no longer than that and what
    /// 500 octets a second add.
    pub fn start_under_stress(ip: IpAddr) -> Postfix {
        let more = "smtpd_timeout = 10s\nsmtpd_per_request_deadline = yes\n\
                    smtpd_min_data_rate = 500\n";
        Self::start_with(ip, more.to_owned())
    }

    fn start_with(ip: IpAddr, more: String) -> Postfix {
        let folder = tempfile::tempdir().unwrap();
        // Its parts run as users of their own.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["conf", "spool", "data", "mail"] {
            fs::create_dir(at(name)).unwrap();
        }
        chown(at("data"), Some(id_of("postfix")), None).unwrap();
        chown(at("mail"), Some(id_of("nobody")), None).unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["mx.d.example".into()]).unwrap();
        fs::write(at("cert.pem"), certified.cert.pem()).unwrap();
        fs::write(at("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        let postfix = Postfix { folder, ip, more };
        postfix.configure("slow@d.example=DEFER try me later");
        fs::write(at_of(&postfix, "conf/master.cf"), master(ip)).unwrap();
        postfix.begin();
        postfix
    }

    /// Takes mail for slow@ from now on. Open connections end without a word: a process of Postfix
    /// that serves one would go on with what it knew.
    pub fn relent(&self) {
        self.configure("slow@d.example=OK");
        assert!(self.postfix("abort").status.success());
        wait_until("Postfix has ended", || {
            !self.postfix("status").status.success()
        });
        self.begin();
    }

    fn begin(&self) {
        let started = self.postfix("start");
        let log = fs::read_to_string(at_of(self, "log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{said}{log}");
        wait_until("Postfix listens", || {
            std::net::TcpStream::connect((self.ip, SINK)).is_ok()
        });
    }

    /// The messages that were delivered to known@ and slow@.
    pub fn delivered(&self, mailbox: &str) -> Vec<String> {
        let folder = at_of(self, "mail").join(mailbox).join("new");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect()
    }

    fn configure(&self, access: &str) {
        let folder = self.folder.path().display();
        let nobody = id_of("nobody");
        let default = |name: &str| {
            let output = run(Command::new("postconf").args(["-d", "-h", name]));
            String::from_utf8(output.stdout).unwrap()
        };
        // The address to listen on stands in master.cf; here must be one that an interface has.
        let configuration = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {folder}/spool\n\
             data_directory = {folder}/data\n\
             daemon_directory = {}command_directory = {}\
             mail_owner = postfix\nsetgid_group = postdrop\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             myhostname = mx.d.example\nmydestination =\nalias_maps =\n\
             mynetworks = 192.0.2.0/24\nsmtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_recipient_restrictions = check_recipient_access inline:{{ {{{access}}} }}\n\
             virtual_mailbox_domains = d.example\n\
             virtual_mailbox_maps = inline:{{ known@d.example=known/, slow@d.example=slow/ }}\n\
             virtual_mailbox_base = {folder}/mail\n\
             virtual_uid_maps = static:{nobody}\nvirtual_gid_maps = static:{nobody}\n\
             virtual_minimum_uid = 1\n\
             disable_dns_lookups = yes\nsmtp_host_lookup = native\n\
             maillog_file = {folder}/log\nmaillog_file_prefixes = {folder}\n\
             smtpd_tls_security_level = may\n\
             smtpd_tls_cert_file = {folder}/cert.pem\nsmtpd_tls_key_file = {folder}/key.pem\n\
             smtpd_tls_loglevel = 1\n",
            default("daemon_directory"),
            default("command_directory"),
        );
        let configuration = configuration + &self.more;
        fs::write(at_of(self, "conf/main.cf"), configuration).unwrap();
    }

    fn postfix(&self, command: &str) -> std::process::Output {
        let program = ["/usr/sbin/postfix", "postfix"]
            .into_iter()
            .find(|program| !program.starts_with('/') || Path::new(program).exists())
            .unwrap();
        run(Command::new(program)
            .arg("-c")
            .arg(at_of(self, "conf"))
            .arg(command))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.postfix("abort");
    }
}

fn at_of(postfix: &Postfix, name: &str) -> PathBuf {
    postfix.folder.path().join(name)
}

/// The services that receiving and delivering into a folder needs.
fn master(ip: IpAddr) -> String {
    let mut services = vec![format!("{ip}:{SINK} inet n - n - - smtpd")];
    let others = [
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "discard unix - - n - - discard",
        "local unix - n n - - local",
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    services.extend(others.map(str::to_owned));
    services.join("\n") + "\n"
}

fn id_of(user: &str) -> u32 {
    let output = run(Command::new("id").args(["-u", user]));
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no user {user}: tests/install.sh installs Postfix"))
}
