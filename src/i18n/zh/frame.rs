//! What stands around every page.

pub const MESSAGES: &[(&str, &str)] = &[
    ("Language", "语言"),
    ("Colours", "配色"),
    ("Times", "时间"),
    ("System", "跟随系统"),
    ("Light", "浅色"),
    ("Dark", "深色"),
    ("Local time", "本地时间"),
    ("1 day", "1 天"),
    ("{days} days", "{days} 天"),
    ("1 hour", "1 小时"),
    ("{hours} hours", "{hours} 小时"),
    ("1 minute", "1 分钟"),
    ("{minutes} minutes", "{minutes} 分钟"),
];
