// Both questions answered in C: what a policy looks like in a language without an SDK.
//
// Everybody who is logged in may send as any address of the domain that the setting `domain` names,
// and nobody as anything else. A message whose subject begins with "[urgent]" is placed at priority
// 2; about others there is no opinion. policy.h is made from wit/ by wit-bindgen.
//
// A permit of one component never overrides the refusal of another. So where authorized-senders
// stands in the chain too, before this component or behind it, what is permitted here permits
// nothing: a sender must then be of the house domain and in the lists of the user.
//
// What is returned is freed by the bindings when the relay has read it, so all of it is allocated.
// What is asked for is not freed: the instance ends with the transaction. With `reuse` it would not.

#include "policy.h"
#include <stdlib.h>
#include <string.h>

#define VERDICT_PERMIT EXPORTS_OUTPOST_POLICY_SENDER_AUTHORIZATION_VERDICT_PERMIT
#define VERDICT_REFUSE EXPORTS_OUTPOST_POLICY_SENDER_AUTHORIZATION_VERDICT_REFUSE

typedef exports_outpost_policy_sender_authorization_decision_t decision_t;
typedef exports_outpost_policy_priority_policy_placement_t placement_t;
typedef outpost_policy_message_borrow_transaction_t transaction_t;
typedef outpost_policy_types_mailbox_t mailbox_t;

static bool same(const policy_string_t *a, const policy_string_t *b) {
    return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

static bool setting(const char *key, policy_string_t *value) {
    policy_string_t name;
    policy_string_set(&name, key);
    return outpost_policy_config_value(&name, value);
}

static outpost_policy_types_reason_t *reason(const char *rule, const char *detail) {
    outpost_policy_types_reason_t *reason = malloc(sizeof *reason);
    policy_string_dup(&reason->rule, rule);
    policy_string_dup(&reason->detail, detail);
    return reason;
}

static void permit(decision_t *decision, const char *detail) {
    memset(decision, 0, sizeof *decision);
    decision->verdict.tag = VERDICT_PERMIT;
    decision->reasons.ptr = reason("house-domain", detail);
    decision->reasons.len = 1;
}

static void refuse(decision_t *decision, const char *detail) {
    memset(decision, 0, sizeof *decision);
    decision->verdict.tag = VERDICT_REFUSE;
    decision->verdict.val.refuse.is_some = true;
    outpost_policy_types_reply_t *reply = &decision->verdict.val.refuse.val;
    reply->code = 550;
    reply->enhanced.class_ = 5;
    reply->enhanced.subject = 7;
    reply->enhanced.detail = 1;
    policy_string_dup(&reply->text, "Use an address of the house domain.");
    decision->reasons.ptr = reason("house-domain", detail);
    decision->reasons.len = 1;
}

// May this user send as this sender?
void exports_outpost_policy_sender_authorization_authorize(transaction_t tx, decision_t *decision) {
    outpost_policy_types_account_t account;
    if (!outpost_policy_message_method_transaction_account(tx, &account)) {
        refuse(decision, "nobody is logged in");
        return;
    }
    policy_string_t domain;
    if (!setting("domain", &domain)) {
        refuse(decision, "the setting domain is missing");
        return;
    }
    outpost_policy_message_list_mailbox_t senders = {0};
    outpost_policy_types_envelope_t envelope;
    if (outpost_policy_message_method_transaction_header_known(tx)) {
        outpost_policy_message_method_transaction_authors(tx, &senders);
    } else {
        outpost_policy_message_method_transaction_envelope(tx, &envelope);
        // The null reverse-path names no sender: then there is none to compare.
        senders.ptr = &envelope.reverse_path.val;
        senders.len = envelope.reverse_path.is_some ? 1 : 0;
    }
    for (size_t at = 0; at < senders.len; at++) {
        if (!same(&senders.ptr[at].domain, &domain)) {
            refuse(decision, "a sender is not of the house domain");
            return;
        }
    }
    permit(decision, "all senders are of the house domain");
}

// How urgent is this message?
bool exports_outpost_policy_priority_policy_place(transaction_t tx, placement_t *placement) {
    static const char mark[] = "[urgent]";
    policy_string_t name, subject;
    policy_string_set(&name, "Subject");
    if (!outpost_policy_message_method_transaction_header(tx, &name, &subject)
        || subject.len < sizeof mark - 1
        || memcmp(subject.ptr, mark, sizeof mark - 1) != 0) {
        return false;
    }
    memset(placement, 0, sizeof *placement);
    placement->priority = 2;
    placement->reasons.ptr = reason("subject-mark", "the subject begins with [urgent]");
    placement->reasons.len = 1;
    return true;
}

// Are the settings right? False: `problems` says what is wrong.
bool exports_outpost_policy_lifecycle_check_config(
    exports_outpost_policy_lifecycle_list_problem_t *problems
) {
    policy_string_t domain;
    if (setting("domain", &domain) && domain.len > 0) {
        return true;
    }
    problems->ptr = malloc(sizeof *problems->ptr);
    problems->len = 1;
    policy_string_dup(&problems->ptr[0].key, "domain");
    policy_string_dup(&problems->ptr[0].text, "is needed: the domain that everybody may send as");
    return false;
}
