# The words of the console, in English. Another language is a file like this one beside it.

navigation = Parts of the console
skip-to-content = To the content
menu = Menu
nav-connection = Connection
nav-users = Users
nav-lists = Lists
nav-queue = Queue
nav-refused = Refused
nav-alerts = Alerts
nav-policies = Policies
nav-statistics = Statistics
nav-system = System
greeting = Logged in as { $name }
back-to-start = To the start page
back = Back
save = Save
remove = Remove
show = Show
show-all = Show all
any = any
never = never
now = now
actions = Actions
created = Created
changed = Changed
state = State
list = List
class = Priority
copy = Copy
copy-value = Copy { $value }
copy-what = Copy the settings for { $what }
next-page = Next page
and-more = and { $count } more
in-time = in { $time }
undo = Undo
no-subject = (no subject)
null-sender = (none: a report or a notice)

meanwhile-changed = { $what } was changed by somebody else since you opened this form. Nothing of yours is saved yet.
meanwhile-same = What is there now is what you entered.
meanwhile-lead = The form below has what you entered. Look at the differences, then save it if it is to be so.
meanwhile-title = Differences
meanwhile-field = Setting
meanwhile-entered = You entered
meanwhile-there = There now
meanwhile-empty = (empty)

class-1 = very high
class-2 = high
class-3 = normal
class-4 = low
class-5 = very low

state-waiting = waiting
state-scheduled = scheduled
state-deferred = deferred
state-stopped = stopped
state-held = held
state-active = being sent
state-paused = paused
state-cancelled = cancelled

role-read = read: see everything but notes
role-operate = operate: and act on the queue
role-admin = admin: and change everything

log-in = Log in
log-in-lead = The console of this mail relay.
log-in-name = Name
log-in-password = Password
log-in-hint = The first start shows a password for admin. On the machine of the relay, this makes a new one:
log-in-refused = Name or password is wrong.
log-in-put-off = Too many logins were wrong: try again in a minute.
log-out = Log out
times-in-utc = Times are in UTC.
secret-name = Name
secret-password = Password
secret-once = It is shown this once and kept nowhere. Copy it now.

connection-lead = What to enter in a mail program or a device, so that it sends its mail here.
connection-recommended = Recommended
connection-host = Server
connection-port = Port
connection-encryption = Encryption
connection-login = Login
connection-login-how = Name and password of a user; in mail programs, “normal password”
connection-none = No port is open for submission: nobody can send mail. See the log of the relay.
connection-self-signed = The certificate was made by the relay itself. Give clients the file self-signed-cert.pem of the data folder to trust, or configure one of a public authority.
connection-ports = All ports
connection-listens = The relay is called { $host } and listens on { $addresses }.
connection-plaintext = A login is taken before TLS too: passwords can be read on the way.
connection-users = Who can log in
connection-users-none = Nobody yet: a user has a name and a password for this.
connection-users-all = All users
connection-examples = Ready-made settings
connection-examples-lead = NAME and PASSWORD are those of a user, SENDER an address that the user may send as, RECIPIENT whoever is to get the mail.
connection-examples-file = Programs look for self-signed-cert.pem where they are started: copy it there from the data folder of the relay.
encryption-starttls = STARTTLS
encryption-tls = SSL/TLS from the beginning
example-thunderbird = Thunderbird
example-thunderbird-where = Account Settings, Outgoing Server (SMTP), Add.
example-outlook = Outlook
example-outlook-where = Account Settings, Server Settings, Outgoing mail. The login of the outgoing server is its own, not the one of incoming mail.
example-apple = Apple Mail
example-apple-where = Settings, Accounts, Server Settings, Outgoing Mail Account.
example-phone = Phone or tablet
example-phone-where = In the settings of the mail account, the part for outgoing mail.
example-printer = Printer or scanner
example-printer-where = On the page of the device, under e-mail or scan to mail. The device needs TLS 1.2.
example-swaks = swaks
example-python = Python
example-node = Node.js
example-node-where = With the package nodemailer: npm install nodemailer.
example-php = PHP
example-php-where = With the library PHPMailer: composer require phpmailer/phpmailer.
test-message = Send a test message
test-lead = The relay takes a message from a user as it would from a mail program. You see at once what becomes of it.
test-password-hint = The user's own; it is used for this message and kept nowhere.
test-from = From
test-from-hint = An address that the user may send as.
test-to = To
test-send = Send it
test-refused = The message was refused
test-no-address = is not an address: write it as in name@example.com

users-search = Name contains
users-none = No user matches.
user-active = active
user-disabled = disabled
user-name = Login name
user-name-hint = What the mail program logs in with. Left empty, one is made up.
user-priority = Priority
user-priority-hint = How urgent this user's mail is. A message can ask for more.
user-rules = May send as
user-last-login = Last login
user-sent = Sent, { $days } days
user-queued = Queued
user-refused = Refused
user-note = Note
user-note-hint = For admins only; it never leaves the relay.
user-password-set = Password set
user-very-high-left = Very-high messages left this hour
user-add = Add a user
user-add-lead = A user is a login for a mail program or an application. The password is made by the relay and shown once.
user-settings = Settings
user-domains = Domains
user-domains-hint = Any address at these domains. Separate them with a semicolon: a.example; *.b.example for subdomains.
user-senders = Addresses
user-senders-hint = Just these addresses, with semicolons between: orders@shop.example; news@shop.example
user-may-send-as = May send as
user-limits = Limits
user-ceiling = Most urgent priority
user-ceiling-none = no limit
user-ceiling-hint = Mail that asks for more is accepted with this one.
user-very-high = Very-high messages an hour
user-very-high-hint = Empty: any number. What goes beyond is accepted as high.
user-carriers = What may say how urgent a message is
user-carriers-all = everything that can say it, also what later releases know
user-carriers-these = only these:
user-carriers-none = nothing
user-carriers-hint = What is not trusted counts as absent: the user's own priority decides then. None of them ticked: it always does.
user-added = The user { $name } is made.
user-changed = The user { $name } is changed, in force with the next message.
user-reset-password = New password
user-password-reset = { $name } has a new password. The old one is void.
user-disable = Disable
user-enable = Enable
user-enabled = { $name } may log in again.
user-was-disabled = { $name } is disabled: logins are refused, open sessions end.
user-remove = Remove
user-removed = The user { $name } is removed.
remove-user = Remove { $name }?
remove-user-lead = { $name } can log in no more, and the name is free for another user.
remove-queued = { $count ->
    [one] One delivery of this user is in the queue. What becomes of it?
   *[other] { $count } deliveries of this user are in the queue. What becomes of them?
}
remove-deliver = Deliver the mail
remove-hold = Hold it until somebody releases it
remove-cancel = Cancel it
rules-none = nobody: every message is refused
rules-more = and { $count } more
rules-read-as = May send as:
rule-domain = any address at { $domain }
rule-subdomains = any address at a subdomain of { $domain }
rule-sender = { $address }

lists-lead = A list holds users, and says who is told when somebody tries to send as an address that is not theirs.
list-name = Name
list-notify = Notification addresses
list-notify-hint = Told when a sender is refused. Separate them with a semicolon.
list-notify-none = nobody is told
list-users = { $users } ({ $active } active)
list-add = Add a list
list-added = The list { $name } is made.
list-changed = The list { $name } is changed.
list-remove = Remove the list
list-removed = The list { $name } is removed.
list-settings = Settings

queue-sender = Sender
queue-recipient = Recipient
queue-subject = Subject
queue-user = User
queue-domain = Next hop or domain
queue-last-reply = Last reply contains
queue-attempts-min = Attempts at least
queue-due-from = Due from (UTC)
queue-due-before = Due before (UTC)
queue-estimate = Starts within, in seconds
queue-story = What happened to message { $id }
queue-more-filters = More filters
queue-empty = Nothing is queued here.
queue-none-yet = None so far. The next page looks on.
queue-select = Select
queue-select-one = Select { $subject }
queue-message = Message
queue-from-to = From and to
queue-starts = Starts
queue-attempts = Attempts
queue-progress = How much has been sent
queue-position = number { $position }
queue-actions = What to do
queue-actions-hint = With the ticked ones; with nothing ticked, with all that match. You see how many before anything is done.
act-hold = Hold
act-release = Release
act-retry = Try now
act-set-priority = Set priority
act-reschedule = Send later
act-cancel = Cancel
act-restore = Restore
act-priority = Priority to set
act-minutes = Later, in minutes
act-under-way = { $count ->
    [one] One of them is being sent: that goes on as it began.
   *[other] { $count } of them are being sent: that goes on as it began.
}
done-hold = { $count ->
    [one] One delivery is held.
   *[other] { $count } deliveries are held.
}
done-release = { $count ->
    [one] One delivery is released.
   *[other] { $count } deliveries are released.
}
done-retry = { $count ->
    [one] One delivery is tried now.
   *[other] { $count } deliveries are tried now.
}
done-cancel = { $count ->
    [one] One delivery is cancelled.
   *[other] { $count } deliveries are cancelled.
}
done-restore = { $count ->
    [one] One delivery is restored.
   *[other] { $count } deliveries are restored.
}
done-set-priority = { $count ->
    [one] One delivery has another priority.
   *[other] { $count } deliveries have another priority.
}
done-reschedule = { $count ->
    [one] One delivery is sent later.
   *[other] { $count } deliveries are sent later.
}
done-undo = { $count ->
    [0] Nothing of it is as it was left: nothing is put back.
    [one] One delivery is as it was before.
   *[other] { $count } deliveries are as they were before.
}
act-no-undo = These are more than { $max }, so this cannot be undone here.
ask-title = Do this?
ask-hold = { $count ->
    [one] One delivery would be held until somebody releases it.
   *[other] { $count } deliveries would be held until somebody releases them.
}
ask-release = { $count ->
    [one] One delivery would be released.
   *[other] { $count } deliveries would be released.
}
ask-retry = { $count ->
    [one] One delivery would be tried now.
   *[other] { $count } deliveries would be tried now.
}
ask-cancel = { $count ->
    [one] One delivery would be cancelled. It can be restored for a while.
   *[other] { $count } deliveries would be cancelled. They can be restored for a while.
}
ask-restore = { $count ->
    [one] One delivery would be restored.
   *[other] { $count } deliveries would be restored.
}
ask-set-priority = { $count ->
    [one] One delivery would get another priority.
   *[other] { $count } deliveries would get another priority.
}
ask-reschedule = { $count ->
    [one] One delivery would be sent later.
   *[other] { $count } deliveries would be sent later.
}
ask-everything = This is everything that is queued.
ask-matching = All that match:
ask-under-way = { $count ->
    [one] One of them is being sent now: that goes on as it began.
   *[other] { $count } of them are being sent now: that goes on as it began.
}
ask-stopped = { $count ->
    [one] One of them is stopped: nothing of it is sent before that is started.
   *[other] { $count } of them are stopped: nothing of them is sent before that is started.
}
ask-do-it = Yes, do it
stop-in-force = Stopped: { $what }
stop-start = Start
stop-something = Stop something
stop-what = What
stop-all = everything
stop-next-hop = a next hop
stop-user = a user
stop-list = a list
stop-name = Its name
stop-do = Stop
stop-hint = Nothing of it is sent until it is started, also after a restart of the relay. What is being sent ends.
stop-stopped = Stopped: { $what }. { $count ->
    [one] One delivery waits for it.
   *[other] { $count } deliveries wait for it.
}
stop-started = Started: { $what }. { $count ->
    [one] One delivery goes on.
   *[other] { $count } deliveries go on.
}

message-id = Id
message-priorities = Asked for
message-of-user = by the user:
message-of-message = by the message:
message-asked-nothing = nothing
message-of-relay = the relay itself
message-size = Size
message-accepted = Accepted
message-standing = Where it is
message-finished = Nothing of it is left to deliver since
message-timeline = What happened
message-decisions = Decisions
message-dialogues = What was said
message-actions = What to do
decision-component = Component
decision-question = Question
decision-answer = Answer
decision-reasons = Reasons
decision-took = Took
dialogue-client = with the client that submitted it

refused-lead = Users who tried to send as an address that is not theirs, the latest first. Nothing of it was accepted.
refused-none = Nobody was refused.
refused-as = Tried to send as
refused-domain = Domain
refused-count = How often
refused-from = From
refused-why = Why
refused-in-envelope = as the envelope sender
refused-in-header = as the author, in the header
refused-user-gone = (removed)
refused-covered = Allowed by now: { $rule }
refused-allow-address = Allow this address
refused-allow-address-also = { $address } and nothing else
refused-allow-domain = Allow the whole domain
refused-allow-domain-also = any address at { $domain }, also others than this one
refused-allowed = { $user } may send as this from now on: { $rule }. { $count ->
    [0] Nothing else that was refused is settled by it.
    [one] One refused sender is settled.
   *[other] { $count } refused senders are settled.
}
refused-dismiss = Dismiss
refused-dismissed = Dismissed. If it happens again, it is listed again.
who-may = Who may send as an address?
who-may-address = Address
who-may-title = Who may send as { $address }
who-may-nobody = Nobody may.
who-may-rule = Rule
may-send-as-test = Try a sender
may-send-as-title = What may { $name } send as?

policies-lead = The components that decide who may send as whom, and how urgent each message is, in the order in which they are asked.
policy-asked = asked
policy-disabled = disabled
policy-absent = not in the configuration
policy-limits = Limits
policy-limits-are = { $cpu } ms of the processor, { $wall } ms in all, { $memory } of memory, { $calls } calls for each question
policy-settings = Settings
policy-earlier = Ask earlier
policy-later = Ask later
policy-roll-back = Roll back
policy-use = Use this one
policy-in-force = in force
policy-versions = { $count ->
    [one] One version was deployed
   *[other] { $count } versions were deployed
}
policy-changed = { $name }: the change is in force for the next messages. Digest in force: { $digest }.
policy-unchanged = { $name }: nothing is another than before. Digest in force: { $digest }.
policy-upload = Deploy a component
policy-name = Name
policy-name-hint = Of a component that there is, for its next version; or a new one.
policy-as-before = as before, or the default
policy-file = Component (.wasm)
policy-file-hint = It is read, compiled, started once and checked before it decides about mail. When anything is wrong, everything stays as it was.
policy-source = Source
policy-digest = Digest (SHA-256)
policy-version = Version
policy-contract = contract { $version }
policy-imports = Imports
policy-no-imports = none
policy-granted = granted
policy-not-granted = not granted
policy-on-failure = On failure
policy-answers = Answers
policy-failures = Failures
policy-median = Median
policy-p99 = 99 of 100
policy-breaker = Breaker
policy-users-suspended = { $count ->
    [one] open for one user
   *[other] open for { $count } users
}
policy-reset = Ask it again
policy-was-reset = { $name } is asked again.

span-day = 24 hours
span-week = 7 days
span-month = 30 days
span-year = A year
statistics-glance = The last 30 days
statistics-more = All that is counted of it
statistics-span = How much time
statistics-destination = Destination
statistics-destinations = Destinations
statistics-campaign = Campaign
statistics-campaigns = Campaigns
statistics-picture = Recipients sent to, deferred and bounced, and messages refused, over time
statistics-table = The figures of the picture
statistics-time = Time (UTC)
statistics-name = Name
statistics-over-time = Over time
statistics-export = As files
statistics-what = Accepted and refused are messages, deferred are attempts, all else are recipients. Queued is what is queued now.
figure-accepted = Accepted
figure-sent = Sent
figure-deferred = Deferred
figure-bounced = Bounced
figure-refused = Refused
figure-queued = Queued
latency-median = Half took at most
latency-p90 = 90 of 100
latency-p99 = 99 of 100

system-parts = Parts of the system
system-overview = Overview
system-audit = Audit log
audit-by = By
audit-action = What
audit-about = About
audit-changed = Before and after
audit-none = Nothing is written down here.
audit-deliveries = { $count ->
    [one] one delivery
   *[other] { $count } deliveries
}
system-accounts = Export and import
accounts-export = Export
accounts-export-lead = All lists and users in one file, without passwords and other secrets: for another relay, a repository or an editor. Notes are in it.
accounts-export-do = Download lists and users
accounts-import = Import
accounts-file = File
accounts-file-hint = As an export has it: a JSON object a line. You see what it comes to before anything is done. Nothing is removed, and passwords of users that are there stay.
accounts-update = Also change lists and users that are there and differ
accounts-look = See what it comes to
accounts-wrong = Nothing was done: these lines are wrong.
accounts-nothing = Everything is there already.
accounts-foreseen = To be made: { $added }. To be changed: { $changed }. { $differing ->
    [0] Nothing is left as it is that differs.
   *[other] Left as they are though they differ: { $differing }.
}
accounts-done = The import is done.
accounts-broken-off = The import broke off: what stands before the refused line is done, what follows is not. Send the file again when the reason is gone; it goes on there.
accounts-passwords = The passwords of new users are shown this once.
accounts-line = Line
accounts-what = What
accounts-becomes = What becomes of it
accounts-list = list { $name }
accounts-user = user { $name }
accounts-would-add = would be made
accounts-added = made
accounts-would-change = would be changed
accounts-changed = changed
accounts-differs = differs, and is left as it is
accounts-refused = refused
accounts-not-done = not done
system-admins = Admins
system-tokens = Tokens
system-version = Version
system-host = Host name
system-uptime = Runs for
system-started = Started
system-ready = The relay takes mail.
system-disk = Disk
system-disk-used = How full the disk is
system-disk-free = { $free } of { $total } free
system-certificate = Certificate
certificate-source = Where from
certificate-self-signed = made by the relay itself
certificate-configured = configured
certificate-names = For
certificate-issuer = Signed by
certificate-until = Valid until
certificate-days = { $days ->
    [0] (it is over or ends today)
    [one] (one day left)
   *[other] ({ $days } days left)
}
system-configuration = Configuration in force
system-no-configuration = There is no configuration file: the relay runs with its built-in defaults.
system-reload = Read it again
system-reloaded-nothing = The configuration was read again; nothing is another than before.
system-reloaded = The configuration was read again. Changed: { $changed }.
system-restart-needed = A restart is needed for: { $keys }.
system-backup = Download a backup
system-backup-hint = A backup has users, lists, admins and tokens with the hashes of their secrets, and the configuration file. Keep it as you keep secrets.
admin-role = Role
admin-role-of = Role of { $name }
admin-add = Add an admin
admin-added = The admin { $name } is made.
admin-changed = { $name } has the role { $role } now.
admin-password-reset = { $name } has a new password. The old one is void, and open sessions end.
admin-removed = The admin { $name } is removed.
tokens-lead = A token lets a program use the HTTP API. Its name stands in trails and in the audit log.
token-name = Name
token-scope = May
token-add = Add a token
token-added = The token { $name } is made.
token-removed = The token { $name } is removed. It stops at once.

alerts-lead = What somebody should look at: the relay looks every few seconds, and tells by mail and by webhook.
alerts-active = Active
alerts-none = Nothing is wrong.
alerts-ended = Ended
alerts-told = Who is told
alerts-mail = By mail
alerts-mail-none = nobody: give addresses with notify in the section [alerts] of the configuration
alerts-webhook = By webhook
alerts-webhook-none = nobody: give an address with webhook in the section [alerts] of the configuration
alerts-signed = (signed)
alerts-unsigned = (not signed: anybody could send the same)
alerts-failing = Takes nothing since
alerts-told-hint = What concerns one list is told to the notification addresses of that list, if it has some.
alerts-test = Send a test
alerts-tested-mail = A letter is on its way to { $addresses }.
alerts-tested-webhook = The webhook has taken it.
alerts-tested-nobody = There is nobody to tell: neither an address nor a webhook is configured.
alerts-count = { $count ->
    [one] See this alert
   *[other] See all { $count } alerts
}
alert-critical = critical
alert-warning = warning
alert-kind-not-ready = Takes no mail
alert-kind-very-high-late = Very-high mail is late
alert-kind-disk-low = Disk is low
alert-kind-breaker-open = Policy component is not asked
alert-kind-next-hop-down = Next hop is down
alert-kind-certificate-expiring = Certificate expires
alert-kind-bounces-high = Much mail comes back
alert-kind-senders-refused = Senders refused
alert-since = Since
alert-from = From
alert-until = until
alert-known = acknowledged by { $name }
alert-acknowledge = Acknowledge
alert-acknowledged = Nobody is reminded of it any more. Its end is told all the same.
