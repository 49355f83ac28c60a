//! What letters say.

pub const MESSAGES: &[(&str, &str)] = &[
    // Signing up, addresses.
    ("Confirm your address to finish signing up", "请确认邮箱以完成注册"),
    ("Somebody, you we hope, signed up for TOKI Token Plan with this address.", "我们收到了使用此邮箱注册 TOKI Token Plan 的申请。"),
    ("Finish signing up", "完成注册"),
    (
        "The link works once, for 24 hours. If it was not you, do nothing: without the link there is no account.",
        "链接 24 小时内有效，且只能使用一次。如果不是你本人操作，无需理会：不打开链接就不会创建账户。",
    ),
    ("You have an account already", "你已经有账户了"),
    (
        "Somebody, perhaps you, tried to sign up for TOKI Token Plan with this address. It has an account already.",
        "有人（也许是你）尝试使用此邮箱注册 TOKI Token Plan，但此邮箱已有账户。",
    ),
    ("Forgotten the password? Set a new one", "忘记密码？设置新密码"),
    (
        "If it was not you, do nothing: nothing was changed, and nobody was told that you have an account.",
        "如果不是你本人操作，无需理会：没有任何改动，对方也不会得知你有账户。",
    ),
    (
        "Confirm that this address is yours, so that a forgotten password can be replaced by mail.",
        "请确认此邮箱属于你，以便忘记密码时可以通过邮件重置。",
    ),
    (
        "The link works once, for 24 hours. If you have no account at TOKI Token Plan, do not use it.",
        "链接 24 小时内有效，且只能使用一次。如果你没有 TOKI Token Plan 账户，请不要打开。",
    ),
    ("Confirm your new address", "请确认新邮箱"),
    ("A user of TOKI Token Plan wants to sign in with this address from now on.", "一位 TOKI Token Plan 用户希望今后使用此邮箱登录。"),
    ("Use this address", "使用此邮箱"),
    (
        "The link works once, for 24 hours. If it was not you, do nothing: the user keeps the old address.",
        "链接 24 小时内有效，且只能使用一次。如果不是你本人操作，无需理会：该用户将继续使用原邮箱。",
    ),
    ("Your address is about to change", "你的邮箱即将更改"),
    (
        "You, or somebody who knows your password, asked to replace this address of your account at TOKI Token Plan by another one.",
        "你本人或知道你密码的人申请将你的 TOKI Token Plan 账户从此邮箱更换为另一个邮箱。",
    ),
    (
        "If it was not you, set a new password at once. That also makes the link to the other address worthless.",
        "如果不是你本人操作，请立即设置新密码，发往另一个邮箱的链接也会随之失效。",
    ),
    ("Your address has changed", "你的邮箱已更改"),
    (
        "Your account at TOKI Token Plan is no longer signed in to with this address, but with {now}.",
        "你的 TOKI Token Plan 账户不再使用此邮箱登录，现改用 {now}。",
    ),
    ("If it was not you, tell support at once.", "如果不是你本人操作，请立即联系客服。"),
    (
        "Your account at TOKI Token Plan is deleted: address, password, keys and billing details are gone.",
        "你的 TOKI Token Plan 账户已删除：邮箱、密码、密钥和账单信息均已清除。",
    ),
    (
        "Orders, receipts, the ledger and the account log are kept, as the law and honest books ask for. Nobody can sign in to them.",
        "根据法律和财务记账要求，订单、收据、账本和账户日志将予以保留，但任何人都无法再登录查看。",
    ),
    (
        "An address that was written into them stays, as in an invitation. That this letter was sent is forgotten in 30 days.",
        "已写入其中的邮箱（例如受邀邮箱）会一并保留。本邮件的发送记录将在 30 天后删除。",
    ),
    (
        "If it was not you, write to support at once. With this address you can sign up again, for a new account.",
        "如果不是你本人操作，请立即联系客服。此邮箱可再次用于注册新账户。",
    ),
    // Passwords and second factors.
    (
        "Somebody, you we hope, asked to set a new password for your account at TOKI Token Plan.",
        "我们收到了为你的 TOKI Token Plan 账户设置新密码的申请。",
    ),
    (
        "The link works once, for 30 minutes. If it was not you, do nothing: your password stays as it is.",
        "链接 30 分钟内有效，且只能使用一次。如果不是你本人操作，无需理会：密码不会改变。",
    ),
    ("Your password was changed", "你的密码已更改"),
    (
        "The password of your account at TOKI Token Plan was changed, and all its other sessions have ended.",
        "你的 TOKI Token Plan 账户密码已更改，其他会话均已结束。",
    ),
    ("If it was not you, set a new one at once.", "如果不是你本人操作，请立即设置新密码。"),
    ("Two-factor is on", "两步验证已开启"),
    (
        "From now on, signing in to your account at TOKI Token Plan takes a code of your authenticator beside the password. Keep the recovery codes where you find them without it.",
        "今后登录 TOKI Token Plan 账户时，除密码外还需要输入验证器的验证码。请将恢复码与验证器分开保存，确保验证器不可用时也能找到。",
    ),
    ("If it was not you, set a new password at once, and look at your sessions.", "如果不是你本人操作，请立即设置新密码，并检查登录会话。"),
    ("Two-factor is off", "两步验证已关闭"),
    ("Signing in to your account at TOKI Token Plan takes the password alone again.", "现在登录 TOKI Token Plan 账户只需密码。"),
    (
        "If it was not you, set a new password at once, and turn two-factor on again.",
        "如果不是你本人操作，请立即设置新密码，并重新开启两步验证。",
    ),
    ("You have new recovery codes", "新的恢复码已生成"),
    (
        "New recovery codes were made for your account at TOKI Token Plan. The ones before work no longer.",
        "你的 TOKI Token Plan 账户生成了新的恢复码，之前的恢复码已失效。",
    ),
    ("A recovery code was used", "恢复码已被使用"),
    (
        "A recovery code of your account at TOKI Token Plan was used in place of your authenticator. It does not work again.",
        "有人使用恢复码代替验证器，通过了你的 TOKI Token Plan 账户验证。该恢复码已失效。",
    ),
    ("Two-factor was taken away", "客服已关闭你的两步验证"),
    (
        "Support has turned two-factor off for your account at TOKI Token Plan, and ended all your sessions. Sign in with your password and set it up anew.",
        "客服已为你的 TOKI Token Plan 账户关闭两步验证，并结束所有会话。请用密码登录后重新设置。",
    ),
    ("If you did not ask for it, tell support at once.", "如果这不是你要求的，请立即联系客服。"),
    // Accounts that people share.
    ("You are invited to an account", "你收到了账户邀请"),
    ("{who} invites you to the account {account} at TOKI Token Plan.", "{who} 邀请你加入 TOKI Token Plan 的账户 {account}。"),
    ("Look at the invitation", "查看邀请"),
    (
        "The link works for 7 days, for you alone. If you do not know them, do nothing.",
        "链接 7 天内有效，仅供你本人使用。如果你不认识对方，无需理会。",
    ),
    ("You belong to an account no longer", "你已被移出一个账户"),
    (
        "You were removed from the account {account} at TOKI Token Plan. You can still sign in to your own.",
        "你已被移出 TOKI Token Plan 的账户 {account}，仍可登录自己的账户。",
    ),
    ("If you did not expect it, ask the account's owner.", "如有疑问，请询问该账户的所有者。"),
    ("You own an account now", "你已成为账户所有者"),
    ("The account {account} at TOKI Token Plan was handed over to you.", "TOKI Token Plan 的账户 {account} 已移交给你。"),
    ("Its members", "查看成员"),
    ("You handed an account over", "你移交了一个账户"),
    (
        "The account {account} at TOKI Token Plan is now {to}'s. You are an admin of it.",
        "TOKI Token Plan 的账户 {account} 现归 {to} 所有，你现在是该账户的管理员。",
    ),
    ("If it was not you, set a new password at once, and tell support.", "如果不是你本人操作，请立即设置新密码，并联系客服。"),
    // Orders.
    (
        "Your payment has come, and your Tokens are in your wallet at TOKI Token Plan.",
        "已收到你的付款，Token 已存入你的 TOKI Token Plan 钱包。",
    ),
    ("Receipt {number}: {package}, {tokens} Tokens, {price}.", "收据 {number}：{package}，{tokens} Token，{price}。"),
    ("Open the receipt", "查看收据"),
    ("It was a payment of the sandbox: no money was moved.", "这是一笔沙盒付款，没有产生真实资金往来。"),
    ("Your receipt", "你的收据"),
    // Notices.
    ("Open the wallet", "查看钱包"),
    ("Choose what you are told", "管理通知设置"),
    ("A new browser signed in", "新浏览器登录"),
    (
        "Your account at TOKI Token Plan was signed in to from a browser that it had not been signed in to from before.",
        "有人通过一个此前从未用过的浏览器登录了你的 TOKI Token Plan 账户。",
    ),
    ("It was {device}, from {address}, on {at}.", "登录设备：{device}，IP 地址：{address}，时间：{at}。"),
    ("It was {device}, on {at}.", "登录设备：{device}，时间：{at}。"),
    (
        "If it was not you, set a new password at once. That ends all your sessions.",
        "如果不是你本人操作，请立即设置新密码，所有会话会随之结束。",
    ),
    ("Your balance is low", "余额不足提醒"),
    (
        "The wallet of {account} at TOKI Token Plan has {left} Tokens left, and you wanted to know when it has less than {below}.",
        "TOKI Token Plan 账户 {account} 的钱包还剩 {left} Token，已低于你设置的 {below}。",
    ),
    ("Tokens expire within a day", "Token 将在一天内到期"),
    ("Tokens expire within a week", "Token 将在一周内到期"),
    (
        "{left} Tokens in the wallet of {account} at TOKI Token Plan expire on {at}.",
        "TOKI Token Plan 账户 {account} 的钱包中有 {left} Token 将于 {at} 到期。",
    ),
    (
        "Until then calls spend them before others that last longer. What is left then is gone.",
        "到期前，调用会先使用这些 Token，再使用有效期更长的；到期未用完的部分将作废。",
    ),
    ("A key is near its quota", "密钥配额即将用尽"),
    (
        "The API key \"{key}\" of {account} at TOKI Token Plan has {left} of the {quota} Tokens of its quota left.",
        "TOKI Token Plan 账户 {account} 的 API 密钥“{key}”配额共 {quota} Token，还剩 {left}。",
    ),
    (
        "The API key \"{key}\" of {account} at TOKI Token Plan has {left} of the {quota} Tokens of its quota of the present period left.",
        "TOKI Token Plan 账户 {account} 的 API 密钥“{key}”本周期配额共 {quota} Token，还剩 {left}。",
    ),
    (
        "Calls with it are refused when nothing is left, whatever the wallet holds.",
        "配额用尽后，无论钱包余额多少，使用该密钥的调用都会被拒绝。",
    ),
    ("Open the keys", "查看密钥"),
];
