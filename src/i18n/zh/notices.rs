//! What the settings say of notices by mail.

pub const MESSAGES: &[(&str, &str)] = &[
    ("Notices by mail", "邮件通知"),
    (
        "Of Tokens you are told where you are an owner or an admin; of keys also where you made them.",
        "Token 的情况仅在你是所有者或管理员的账户中通知；你创建的密钥也会通知。",
    ),
    ("Saved. From now on you are told that.", "已保存，今后将按此通知。"),
    ("Sign-ins from a new browser", "新浏览器登录"),
    ("When you have never signed in from it before.", "首次从该浏览器登录时通知。"),
    ("Tokens about to expire", "Token 即将到期"),
    ("7 days and 1 day before, if some are left.", "如有剩余，到期前 7 天和 1 天各通知一次。"),
    ("Keys near their quota", "密钥配额即将用尽"),
    ("When a tenth or less is left.", "剩余不足 10% 时通知。"),
    ("When the balance is below", "余额低于"),
    ("Tokens. Empty: you are not told.", "Token 数量；留空则不通知。"),
    ("A balance is at most 1,000,000,000,000,000 Tokens.", "余额最多 1,000,000,000,000,000 Token。"),
    ("Enter a whole number of Tokens from 1, or leave it empty.", "请输入不小于 1 的整数，或留空。"),
];
