//! What stands around every page.

pub const MESSAGES: &[(&str, &str)] = &[
    ("Language", "语言"),
    ("Colours", "配色"),
    ("Times", "时间"),
    ("System", "跟随系统"),
    ("Light", "浅色"),
    ("Dark", "深色"),
    ("Local time", "本地时间"),
];
