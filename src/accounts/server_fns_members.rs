//! Server functions of members: who belongs to an account, invitations, and for which account a session acts. Plain posts that come back.

use crate::accounts::types_members::{MembersView, OpenInvitation};
use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;

/// The members of the account, and who is invited.
#[server(endpoint = "members/list", input = GetUrl)]
pub async fn list_members() -> Result<MembersView, ConsoleError> {
    use crate::accounts::store::invitations::invitations_of;
    use crate::accounts::store::members::members_of;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let members = members_of(&app.db, &reader).await.map_err(|error| request_ctx::fail(error.into()))?;
    let invitations = invitations_of(&app.db, &reader).await.map_err(|error| request_ctx::fail(error.into()))?;
    Ok(MembersView { role: reader.role(), members, invitations })
}

/// Invites an address, by mail.
#[server(endpoint = "members/invite", input = Form)]
pub async fn invite_member(#[server(default)] email: String, #[server(default)] role: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{MAIL_FROM, MAIL_TO, take_attempt};
    use crate::accounts::store::invitations::invite;
    use crate::accounts::types::Email;
    use crate::accounts::types_members::Role;
    use crate::server::request_ctx;
    let admin = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let invited = async {
        let (email, role) = (Email::parse(&email)?, Role::parse_given(&role)?);
        take_attempt(&app.db, MAIL_FROM, &[&request_ctx::client_network()]).await?;
        take_attempt(&app.db, MAIL_TO, &[email.as_str()]).await?;
        Ok::<_, ConsoleError>(invite(&app.db, &app.outbox, &admin, &email, role).await?)
    };
    invited.await.map_err(request_ctx::fail)?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Takes an invitation back.
#[server(endpoint = "members/revoke_invitation", input = Form)]
pub async fn revoke_invitation(invitation_id: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::invitations::revoke;
    use crate::server::request_ctx;
    let admin = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let invitation_id = invitation_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    revoke(&app.db, &admin, invitation_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Gives a member another role.
#[server(endpoint = "members/set_role", input = Form)]
pub async fn set_member_role(user_id: String, role: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::members::set_role;
    use crate::accounts::types_members::Role;
    use crate::server::request_ctx;
    let admin = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let user_id = user_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let role = Role::parse_given(&role).map_err(request_ctx::fail)?;
    set_role(&app.db, &admin, user_id, role).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Sets what a member may spend: Tokens ever and in a calendar month, empty for no limit.
#[server(endpoint = "members/set_limits", input = Form)]
pub async fn set_member_limits(
    user_id: String,
    #[server(default)] quota: String,
    #[server(default)] month_quota: String,
) -> Result<(), ConsoleError> {
    use crate::accounts::store::members::set_limits;
    use crate::accounts::types_members::MemberLimits;
    use crate::error::Field;
    use crate::keys::types_limits::{parse_quota, parse_tokens};
    use crate::server::request_ctx;
    let admin = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let set = async {
        let user_id = user_id.parse().map_err(|_| ConsoleError::NotFound)?;
        let limits = MemberLimits { quota: parse_quota(&quota)?, month_quota: parse_tokens(&month_quota, Field::MonthQuota)? };
        Ok::<_, ConsoleError>(set_limits(&app.db, &admin, user_id, limits).await?)
    };
    set.await.map_err(request_ctx::fail)?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Ends a membership. `keys`: what becomes of the keys that the member made.
#[server(endpoint = "members/remove", input = Form)]
pub async fn remove_member(user_id: String, #[server(default)] keys: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::members::remove;
    use crate::accounts::types_members::KeysLeft;
    use crate::server::request_ctx;
    let admin = request_ctx::admin().await?;
    let app = request_ctx::app()?;
    let user_id = user_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    let keys = KeysLeft::parse(&keys).map_err(request_ctx::fail)?;
    remove(&app.db, &app.outbox, &admin, user_id, keys).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Ends one's own membership, one's keys, and the session.
#[server(endpoint = "members/leave", input = Form)]
pub async fn leave_account() -> Result<(), ConsoleError> {
    use crate::accounts::store::members::leave;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    leave(&app.db, &reader).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::go("/sign-in");
    Ok(())
}

/// Makes another member the owner.
#[server(endpoint = "members/hand_over", input = Form)]
pub async fn hand_over_account(user_id: String, #[server(default)] owner_password: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::attempts::{PASSWORD_OF, take_attempt};
    use crate::accounts::store::members::hand_over;
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    let owner = request_ctx::owner().await?;
    let app = request_ctx::app()?;
    let handed = async {
        take_attempt(&app.db, PASSWORD_OF, &[&owner.user_id().to_string()]).await?;
        let user_id = user_id.parse().map_err(|_| ConsoleError::NotFound)?;
        let password = Password::parse(owner_password).map_err(|_| ConsoleError::WrongPassword)?;
        Ok::<_, ConsoleError>(hand_over(&app.db, &app.outbox, &owner, user_id, password).await?)
    };
    handed.await.map_err(request_ctx::fail)?;
    request_ctx::go("/settings/members");
    Ok(())
}

/// Has the session act for another of the user's accounts.
#[server(endpoint = "accounts/switch", input = Form)]
pub async fn switch_account(account_id: String) -> Result<(), ConsoleError> {
    use crate::accounts::store::members::choose;
    use crate::ids::AccountId;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let account_id: AccountId = account_id.parse().map_err(|_| request_ctx::fail(ConsoleError::NotFound))?;
    choose(&app.db, &reader, account_id).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::act_for(account_id).await?;
    request_ctx::go("/dashboard");
    Ok(())
}

/// What a link invites to.
#[server(endpoint = "members/show_invitation", input = GetUrl)]
pub async fn show_invitation(#[server(default)] token: String) -> Result<OpenInvitation, ConsoleError> {
    use crate::accounts::mail_token::MailToken;
    use crate::accounts::store::invitations::invitation_by_token;
    use crate::accounts::types_members::Invited;
    use crate::server::request_ctx;
    // public: whoever has the link reads the mailbox that it was sent to.
    let app = request_ctx::app()?;
    let token = MailToken::parse(&token).ok_or_else(|| request_ctx::fail(ConsoleError::LinkOver))?;
    let found = invitation_by_token(&app.db, &token).await.map_err(|error| request_ctx::fail(error.into()))?;
    let reader = match request_ctx::viewer().await? {
        Some(reader) if *reader.email() == found.email => Invited::Themselves,
        Some(reader) => Invited::SomebodyElse(reader.email().clone()),
        None if found.known => Invited::ToSignIn,
        None => Invited::ToSignUp,
    };
    Ok(OpenInvitation { account: found.account, email: found.email, role: found.role, invited_by: found.invited_by, reader })
}

/// The signed-in user joins the account that they are invited to.
#[server(endpoint = "members/accept", input = Form)]
pub async fn accept_invitation(#[server(default)] token: String) -> Result<(), ConsoleError> {
    use crate::accounts::mail_token::MailToken;
    use crate::accounts::store::invitations::accept;
    use crate::server::request_ctx;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let token = MailToken::parse(&token).ok_or_else(|| request_ctx::fail(ConsoleError::LinkOver))?;
    let account_id = accept(&app.db, &reader, &token).await.map_err(|error| request_ctx::fail(error.into()))?;
    request_ctx::act_for(account_id).await?;
    request_ctx::go("/dashboard");
    Ok(())
}

/// Somebody new signs up from the link, and joins.
#[server(endpoint = "members/sign_up", input = Form)]
pub async fn sign_up_invited(#[server(default)] token: String, #[server(default)] password: String) -> Result<(), ConsoleError> {
    use crate::accounts::mail_token::MailToken;
    use crate::accounts::store::SignIn;
    use crate::accounts::store::attempts::{LINK_FROM, take_attempt};
    use crate::accounts::store::invitations::sign_up;
    use crate::accounts::types::Password;
    use crate::server::request_ctx;
    // public: whoever has the link reads the mailbox that it was sent to.
    let app = request_ctx::app()?;
    let joined = async {
        take_attempt(&app.db, LINK_FROM, &[&request_ctx::client_network()]).await?;
        let token = MailToken::parse(&token).ok_or(ConsoleError::LinkOver)?;
        let password = Password::parse(password)?;
        Ok::<_, ConsoleError>(sign_up(&app.db, &token, password, &request_ctx::origin()).await?)
    };
    let (user_id, account_id) = joined.await.map_err(request_ctx::fail)?;
    request_ctx::sign_in(SignIn::first(user_id)).await?;
    request_ctx::act_for(account_id).await?;
    request_ctx::go("/dashboard");
    Ok(())
}
