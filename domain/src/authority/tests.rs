use super::*;

fn member(role: Role) -> Member {
    Member { id: UserId::from_u128(7), role }
}

fn user(role: Role) -> Principal {
    Principal::User(member(role))
}

fn key(role: Role, scopes: &[Scope]) -> Principal {
    Principal::Key(member(role), scopes.iter().copied().collect(), KeyId::from_u128(7))
}

fn may(principal: &Principal, action: Action, resource: Resource<'_>) -> bool {
    authorize(principal, action, resource).is_ok()
}

#[test]
fn a_role_may_all_that_the_ones_below_it_may() {
    for action in Action::ALL {
        let allowed: Vec<bool> = Role::ALL.iter().map(|role| may(&user(*role), action, action.best_case())).collect();
        assert!(allowed.is_sorted(), "{action:?}: {allowed:?}");
        assert!(allowed[4] || action == Action::SignIn, "an admin may {action:?}");
    }
}

#[test]
fn a_role_has_the_scopes_of_what_it_may_do_and_no_other() {
    let of = |role| Action::scopes_of(role).to_string();
    assert_eq!(of(Role::Guest), "account:read assets:read");
    assert_eq!(of(Role::User), "account:read assets:read assets:write uploads:create");
    assert_eq!(of(Role::Uploader), "account:read assets:read assets:write uploads:create webhooks:admin");
    assert_eq!(Action::scopes_of(Role::Admin).iter().count(), Scope::ALL.len());
}

#[test]
fn the_least_role_of_each_action_is_as_written() {
    let least = |action: Action| Role::ALL.into_iter().find(|role| may(&user(*role), action, action.best_case()));
    for (action, role) in [
        (Action::ReadSelf, Role::Guest),
        (Action::ReadAvatar, Role::Guest),
        (Action::RemoveAvatar, Role::Moderator),
        (Action::ListAssets, Role::Guest),
        (Action::ReadAsset, Role::Guest),
        (Action::EditAsset, Role::User),
        (Action::DeleteAsset, Role::User),
        (Action::ReprocessAsset, Role::Uploader),
        (Action::ReviewAsset, Role::Moderator),
        (Action::CreateCollection, Role::User),
        (Action::EditCollection, Role::User),
        (Action::CreateChannel, Role::Uploader),
        (Action::Upload, Role::Uploader),
        (Action::Import, Role::Uploader),
        (Action::GrantUpload, Role::Uploader),
        (Action::ManageWebhooks, Role::Uploader),
        (Action::ListJobs, Role::Moderator),
        (Action::ManageUsers, Role::Admin),
        (Action::ReadAudit, Role::Admin),
    ] {
        assert_eq!(least(action), Some(role), "{action:?}");
    }
}

#[test]
fn whoever_nobody_knows_may_only_ask_who_is_there_and_sign_in() {
    for action in Action::ALL {
        let open = matches!(action, Action::Describe | Action::SignIn);
        let verdict = authorize(&Principal::Anonymous, action, action.best_case());
        assert_eq!(verdict, if open { Ok(()) } else { Err(Refusal::Unknown) }, "{action:?}");
    }
}

#[test]
fn a_server_without_accounts_lets_everybody_do_all_but_what_needs_accounts() {
    for action in Action::ALL {
        let verdict = authorize(&Principal::Unasked, action, Resource::Asset(Standing::Stranger));
        assert_eq!(verdict, if action.needs_accounts() { Err(Refusal::NoAccounts) } else { Ok(()) }, "{action:?}");
    }
}

#[test]
fn a_key_does_no_more_than_its_scopes_and_no_more_than_its_owner() {
    let reading = key(Role::Admin, &[Scope::AssetsRead]);
    assert!(may(&reading, Action::ListAssets, Resource::Service));
    for action in [Action::Upload, Action::ManageUsers, Action::ReadAudit, Action::ChangeSelf, Action::ReadSelf] {
        assert!(!may(&reading, action, action.best_case()), "{action:?}");
    }
    let all = key(Role::User, &Scope::ALL);
    assert!(!may(&all, Action::Upload, Resource::Service) && !may(&all, Action::ManageUsers, Resource::Service));
    assert!(!may(&key(Role::Admin, &Scope::ALL), Action::ChangeSelf, Resource::Service), "no key makes another key");
}

#[test]
fn an_asset_of_somebody_else_needs_a_share_or_a_moderator() {
    use Standing::{Editor, Owner, Stranger, Viewer};
    for (action, least) in [
        (Action::ReadAsset, Viewer),
        (Action::EditAsset, Editor),
        (Action::ReprocessAsset, Editor),
        (Action::DeleteAsset, Owner),
        (Action::ShareAsset, Owner),
        (Action::ReadCollection, Viewer),
        (Action::EditCollection, Editor),
        (Action::DeleteCollection, Owner),
        (Action::ShareCollection, Owner),
        (Action::EditChannel, Owner),
    ] {
        for standing in [Stranger, Viewer, Editor, Owner] {
            let resource = Resource::Asset(standing);
            assert_eq!(may(&user(Role::Uploader), action, resource), standing >= least, "{action:?} {standing:?}");
            assert!(may(&user(Role::Moderator), action, resource), "{action:?} {standing:?}");
            assert!(!may(&user(Role::Admin), action, Resource::Service), "an asset is named");
        }
    }
}

#[test]
fn a_token_of_the_configuration_is_for_uploads_and_what_came_of_them() {
    let token = Principal::Token { name: "ada".into() };
    for action in Action::ALL {
        let good = matches!(
            action,
            Action::Describe
                | Action::SignIn
                | Action::ListAssets
                | Action::FollowEvents
                | Action::ReadAsset
                | Action::ListCollections
                | Action::ReadCollection
                | Action::Upload
                | Action::UseUpload
                | Action::Import
                | Action::GrantUpload
                | Action::RevokeGrant
        );
        assert_eq!(may(&token, action, action.best_case()), good, "{action:?}");
    }
    assert!(!may(&token, Action::ReadAsset, Resource::Asset(Standing::Stranger)));
}

#[test]
fn uploads_are_for_those_they_belong_to() {
    let (mine, own) = (user(Role::Uploader), UserId::from_u128(7).to_string());
    assert!(may(&mine, Action::UseUpload, Resource::Belonging(Some(&own))));
    assert!(may(&mine, Action::UseUpload, Resource::Belonging(None)));
    for other in [&mine, &user(Role::Admin), &Principal::Token { name: "bob".into() }] {
        assert!(!may(other, Action::UseUpload, Resource::Belonging(Some("ada"))), "{other:?}");
        assert!(!may(other, Action::RevokeGrant, Resource::Belonging(Some("ada"))), "{other:?}");
    }
    assert!(may(&Principal::Unasked, Action::UseUpload, Resource::Belonging(Some("ada"))));
}

#[test]
fn scopes_read_back_as_written_and_nothing_else_is_one() {
    let scopes: Scopes = "uploads:create assets:read".parse().unwrap();
    assert_eq!(scopes.to_string(), "assets:read uploads:create");
    assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["assets:read","uploads:create"]"#);
    assert_eq!(serde_json::from_str::<Scopes>(r#"["uploads:create","assets:read"]"#).unwrap(), scopes);
    assert!("assets:all".parse::<Scopes>().is_err() && serde_json::from_str::<Scopes>(r#"["*"]"#).is_err());
    assert!("".parse::<Scopes>().unwrap().is_empty());
    for scope in Scope::ALL {
        assert_eq!(scope.as_str().parse(), Ok(scope));
    }
}

#[test]
fn roles_and_standings_read_back_as_written() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
    }
    assert!("root".parse::<Role>().is_err());
    assert_eq!(Standing::shared("owner"), Some(Standing::Owner));
    assert_eq!(Standing::shared("stranger"), None);
}
