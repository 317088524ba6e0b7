//! What `outpost admin …` asks: about admins and their tokens.

use super::{Ask, document};
use crate::admin::admins::{AdminChangeInput, AdminInput};
use crate::admin::tokens::{self, TokenInput};
use crate::admin::within_path;
use crate::cli::options::{AdminCommand, ScopeName, TokenCommand};

const ADMINS: &str = "/api/v1/admins";
const TOKENS: &str = "/api/v1/tokens";

/// What the command comes to; the token of the data folder is asked of nobody.
pub(super) fn ask(command: &AdminCommand) -> Ask {
    match command {
        AdminCommand::Ls(_) => Ask::get(ADMINS),
        AdminCommand::Add { name, role, .. } => {
            let input = AdminInput {
                name: name.clone(),
                role: scope(*role),
            };
            Ask::post(ADMINS, Some(document(&input)))
        }
        AdminCommand::Set { name, role, .. } => {
            let input = AdminChangeInput { role: scope(*role) };
            Ask::patch(one(ADMINS, name), document(&input))
        }
        AdminCommand::Rm(named) => Ask::delete(one(ADMINS, &named.name)),
        AdminCommand::ResetPassword { name, .. } => {
            Ask::post(format!("{}/password", one(ADMINS, name)), None)
        }
        AdminCommand::Token { command, .. } => match command {
            None | Some(TokenCommand::Print(_) | TokenCommand::Ls(_)) => Ask::get(TOKENS),
            Some(TokenCommand::Create {
                name, scope: reach, ..
            }) => {
                let input = TokenInput {
                    name: name.clone(),
                    scope: scope(*reach),
                };
                Ask::post(TOKENS, Some(document(&input)))
            }
            Some(TokenCommand::Rm(named)) => Ask::delete(one(TOKENS, &named.name)),
        },
    }
}

fn one(all: &str, name: &str) -> String {
    format!("{all}/{}", within_path(name))
}

fn scope(name: ScopeName) -> tokens::ScopeName {
    match name {
        ScopeName::Read => tokens::ScopeName::Read,
        ScopeName::Operate => tokens::ScopeName::Operate,
        ScopeName::Admin => tokens::ScopeName::Admin,
    }
}
