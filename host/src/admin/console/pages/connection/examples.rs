//! Settings to be copied, for the programs that people use. Those that are commands or programs are whole, and the tests run
//! them as they are copied; more of them stand in docs/clients.md.

use crate::admin::connection::{Certificate, Encryption, Recommended};

/// The settings of one program.
pub(super) struct Example {
    /// The key of its name.
    pub(super) key: &'static str,
    /// The key of what is said before it.
    pub(super) hint: Option<&'static str>,
    pub(super) text: String,
}

/// Why a program trusts the certificate.
#[derive(Clone, Copy)]
enum Trust {
    /// An authority that the machine knows has signed it.
    Authority,
    /// It is the one in the file that the relay has made.
    File,
}

/// The certificate that a relay has made itself, as it is called in the data folder.
const FILE: &str = "self-signed-cert.pem";

fn is_tls(connection: &Recommended) -> bool {
    connection.encryption == Encryption::Tls
}

/// All of them, for the connection that is recommended.
pub(super) fn all(connection: &Recommended, certificate: Certificate) -> Vec<Example> {
    let Recommended { host, port, .. } = connection;
    let trust = match certificate {
        Certificate::SelfSigned => Trust::File,
        Certificate::Configured => Trust::Authority,
    };
    let example = |key, hint, text| Example { key, hint, text };
    let security = match is_tls(connection) {
        true => "SSL/TLS",
        false => "STARTTLS",
    };
    vec![
        example(
            "example-thunderbird",
            Some("example-thunderbird-where"),
            format!(
                "Server name: {host}\nPort: {port}\nConnection security: {security}\nAuthentication method: Normal password\nUser name: NAME"
            ),
        ),
        example(
            "example-outlook",
            Some("example-outlook-where"),
            format!(
                "Outgoing mail server: {host}\nPort: {port}\nEncryption method: {security}\nMy outgoing server requires authentication: yes\nUser name: NAME\nPassword: PASSWORD"
            ),
        ),
        example(
            "example-apple",
            Some("example-apple-where"),
            format!(
                "Host name: {host}\nPort: {port}\nUse TLS/SSL: yes\nAuthentication: Password\nUser name: NAME\nPassword: PASSWORD"
            ),
        ),
        example(
            "example-phone",
            Some("example-phone-where"),
            format!(
                "SMTP server: {host}\nPort: {port}\nSecurity: {security}\nRequire sign-in: yes\nUser name: NAME\nPassword: PASSWORD"
            ),
        ),
        example(
            "example-printer",
            Some("example-printer-where"),
            format!(
                "SMTP server: {host}\nPort: {port}\nSecurity: {security}\nSMTP authentication: on\nUser name: NAME\nPassword: PASSWORD\nSender: an address that the user may send as"
            ),
        ),
        example("example-swaks", None, swaks(connection, trust)),
        example("example-python", None, python(connection, trust)),
        example(
            "example-node",
            Some("example-node-where"),
            node(connection, trust),
        ),
        example(
            "example-php",
            Some("example-php-where"),
            php(connection, trust),
        ),
    ]
}

fn swaks(connection: &Recommended, trust: Trust) -> String {
    let Recommended { host, port, .. } = connection;
    let tls = if is_tls(connection) { "-tlsc" } else { "-tls" };
    let verified = match trust {
        Trust::Authority => String::new(),
        Trust::File => format!("--tls-verify --tls-ca-path {FILE} "),
    };
    format!(
        "swaks --server {host} --port {port} {tls} {verified}\\\n    --auth-user NAME --auth-password PASSWORD \\\n    --from SENDER --to RECIPIENT"
    )
}

fn python(connection: &Recommended, trust: Trust) -> String {
    let Recommended { host, port, .. } = connection;
    let (open, upgrade) = match is_tls(connection) {
        true => (
            format!("smtplib.SMTP_SSL(\"{host}\", {port}, context=context)"),
            "",
        ),
        false => (
            format!("smtplib.SMTP(\"{host}\", {port})"),
            "    relay.starttls(context=context)\n",
        ),
    };
    let file = match trust {
        Trust::Authority => String::new(),
        Trust::File => format!("cafile=\"{FILE}\""),
    };
    format!(
        "import smtplib, ssl\n\ncontext = ssl.create_default_context({file})\nwith {open} as relay:\n{upgrade}    relay.login(\"NAME\", \"PASSWORD\")\n    relay.sendmail(\"SENDER\", [\"RECIPIENT\"], \"From: SENDER\\r\\nSubject: Test\\r\\n\\r\\nHello\")"
    )
}

fn node(connection: &Recommended, trust: Trust) -> String {
    let Recommended { host, port, .. } = connection;
    let secure = match is_tls(connection) {
        true => "secure: true",
        false => "secure: false,\n  requireTLS: true",
    };
    let (file, read) = match trust {
        Trust::Authority => (String::new(), ""),
        Trust::File => (
            format!("\n  tls: {{ ca: fs.readFileSync(\"{FILE}\") }},"),
            "const fs = require(\"fs\");\n",
        ),
    };
    format!(
        "{read}const nodemailer = require(\"nodemailer\");\n\nconst relay = nodemailer.createTransport({{\n  host: \"{host}\",\n  port: {port},\n  {secure},\n  auth: {{ user: \"NAME\", pass: \"PASSWORD\" }},{file}\n}});\nrelay\n  .sendMail({{ from: \"SENDER\", to: \"RECIPIENT\", subject: \"Test\", text: \"Hello\" }})\n  .then((sent) => console.log(sent.response));"
    )
}

fn php(connection: &Recommended, trust: Trust) -> String {
    let Recommended { host, port, .. } = connection;
    let secure = if is_tls(connection) { "ssl" } else { "tls" };
    let file = match trust {
        Trust::Authority => String::new(),
        Trust::File => format!("$mail->SMTPOptions = ['ssl' => ['cafile' => '{FILE}']];\n"),
    };
    format!(
        "<?php\nrequire 'vendor/autoload.php';\n\n$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);\n$mail->isSMTP();\n$mail->Host = '{host}';\n$mail->Port = {port};\n$mail->SMTPSecure = '{secure}';\n{file}$mail->SMTPAuth = true;\n$mail->Username = 'NAME';\n$mail->Password = 'PASSWORD';\n$mail->setFrom('SENDER');\n$mail->addAddress('RECIPIENT');\n$mail->Subject = 'Test';\n$mail->Body = 'Hello';\n$mail->send();"
    )
}
