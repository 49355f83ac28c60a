//! Two-factor and the account log: what can go wrong with their forms.

pub const MESSAGES: &[(&str, &str)] = &[
    (
        "This code is wrong, too old, or was used already. Wait for the next one and type that.",
        "验证码有误、已过期或已使用过。请等待并输入下一个验证码。",
    ),
    (
        "This is neither your password nor a code that works now. Nothing was changed.",
        "这既不是您的密码，也不是当前有效的验证码。未做任何更改。",
    ),
    (
        "Two-factor has changed since you opened this page. Nothing was changed now; see below.",
        "您打开本页后，两步验证已有变动。本次未做任何更改；请见下方。",
    ),
    ("Operators sign in with a second factor. Set it up first.", "运营者登录须使用两步验证，请先完成设置。"),
    ("Enter the six digits that your authenticator shows, or a recovery code.", "请输入验证器显示的六位数字，或一个恢复码。"),
    ("Enter your password, or the six digits that your authenticator shows.", "请输入您的密码，或验证器显示的六位数字。"),
    ("Enter days like 2026-12-24.", "请按 2026-12-24 的格式输入日期。"),
    ("Search for at most 254 characters.", "搜索内容最多 254 个字符。"),
];
