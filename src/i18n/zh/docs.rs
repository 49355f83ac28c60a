//! The frame of the docs; their texts are in `src/docs/zh`.

pub const MESSAGES: &[(&str, &str)] = &[
    ("Docs", "文档"),
    ("Begin", "入门"),
    ("Tokens and keys", "Token 与密钥"),
    ("How to call, what it costs, and what to do when something goes wrong.", "如何调用、如何计费、出错时怎么办。"),
    ("All pages", "全部页面"),
    ("Previous and next page", "上一页与下一页"),
    ("Example {number}: {language}", "示例 {number}：{language}"),
];
