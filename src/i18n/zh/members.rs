//! Members and their roles: what can go wrong with their forms.

pub const MESSAGES: &[(&str, &str)] = &[
    (
        "Your role in this account does not allow this. Nothing was changed; ask an admin of the account.",
        "您在此账户中的角色无权进行此操作。未做任何更改；请联系账户管理员。",
    ),
    ("This address belongs to the account already.", "该邮箱已属于此账户。"),
    ("This invitation is for another address. Sign in with that one.", "此邀请发给了另一个邮箱，请用那个邮箱登录。"),
    ("The owner of an account stays until they hand it over. Nothing was changed.", "账户所有者在移交账户之前不可变更。未做任何更改。"),
    ("Choose a role from the list.", "请从列表中选择角色。"),
    ("Look", "查看"),
];
