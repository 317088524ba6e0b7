//! Settings to be copied, for the programs that people use. What they do with them is shown by the tests with real
//! clients; the same examples, with more of them, stand in docs/clients.md.

use crate::admin::connection::{Encryption, Recommended};

/// The settings of one program.
pub(super) struct Example {
    /// The key of its name.
    pub(super) key: &'static str,
    /// The key of what is said before it.
    pub(super) hint: Option<&'static str>,
    pub(super) text: String,
}

/// All of them, for the connection that is recommended.
pub(super) fn all(connection: &Recommended) -> Vec<Example> {
    let Recommended {
        host,
        port,
        encryption,
    } = connection;
    let is_tls = *encryption == Encryption::Tls;
    let pick = |tls: &'static str, starttls: &'static str| if is_tls { tls } else { starttls };
    let example = |key, hint, text| Example { key, hint, text };
    let security = pick("SSL/TLS", "STARTTLS");
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
        example(
            "example-swaks",
            None,
            format!(
                "swaks --server {host} --port {port} {} \\\n    --auth-user NAME --auth-password PASSWORD \\\n    --from SENDER --to RECIPIENT",
                pick("-tlsc", "-tls")
            ),
        ),
        example("example-python", None, python(host, *port, is_tls)),
        example(
            "example-node",
            Some("example-node-where"),
            format!(
                "const relay = nodemailer.createTransport({{\n  host: \"{host}\",\n  port: {port},\n  {},\n  auth: {{ user: \"NAME\", pass: \"PASSWORD\" }},\n}});\nawait relay.sendMail({{ from: \"SENDER\", to: \"RECIPIENT\", subject: \"Test\", text: \"Hello\" }});",
                pick("secure: true", "secure: false,\n  requireTLS: true")
            ),
        ),
        example(
            "example-php",
            Some("example-php-where"),
            format!(
                "$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);\n$mail->isSMTP();\n$mail->Host = '{host}';\n$mail->Port = {port};\n$mail->SMTPSecure = '{}';\n$mail->SMTPAuth = true;\n$mail->Username = 'NAME';\n$mail->Password = 'PASSWORD';\n$mail->setFrom('SENDER');\n$mail->addAddress('RECIPIENT');\n$mail->Subject = 'Test';\n$mail->Body = 'Hello';\n$mail->send();",
                pick("ssl", "tls")
            ),
        ),
    ]
}

fn python(host: &str, port: u16, is_tls: bool) -> String {
    let (open, upgrade) = match is_tls {
        true => (
            format!("smtplib.SMTP_SSL(\"{host}\", {port}, context=context)"),
            "",
        ),
        false => (
            format!("smtplib.SMTP(\"{host}\", {port})"),
            "    relay.starttls(context=context)\n",
        ),
    };
    format!(
        "import smtplib, ssl\n\ncontext = ssl.create_default_context()\nwith {open} as relay:\n{upgrade}    relay.login(\"NAME\", \"PASSWORD\")\n    relay.sendmail(\"SENDER\", [\"RECIPIENT\"], \"From: SENDER\\r\\nSubject: Test\\r\\n\\r\\nHello\")"
    )
}
