//! What components of no domain say.

pub const MESSAGES: &[(&str, &str)] = &[
    ("As a table", "以表格查看"),
    ("As much as {since}", "与{since}持平"),
    ("At least", "下限"),
    ("At most", "上限"),
    ("Close", "关闭"),
    ("Forecast", "预测"),
    ("Newer", "较新"),
    ("Newest", "最新"),
    ("Nothing in this time", "此期间无用量"),
    ("Nothing {since}", "{since}为零"),
    ("Older", "较早"),
    ("Open {name}", "打开 {name}"),
    ("Other", "其他"),
    ("Skip the chart", "跳过图表"),
    ("Total", "合计"),
    ("{left} of {all} left", "剩余 {left}，共 {all}"),
    ("{percent} % less than {since}", "比{since}少 {percent}%"),
    ("{percent} % more than {since}", "比{since}多 {percent}%"),
];
