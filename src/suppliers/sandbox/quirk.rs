//! The models of the sandbox: which there are, and what is special about each.

/// One model of the sandbox, and what is special about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Says the last message back.
    Echo,
    /// Calls the first of the tools it was given, with the last message as `text`; says the result back.
    Tool,
    Slow,
    RateLimited,
    Error,
    Unauthorized,
    Refuse,
    Cut,
    NoDone,
    NoUsage,
    NullUsage,
    AbsurdUsage,
    ExcessUsage,
    Hang,
    Garbage,
    ErrorEvent,
    Empty,
}

impl Quirk {
    pub const ALL: [Quirk; 17] = [
        Quirk::Echo,
        Quirk::Tool,
        Quirk::Slow,
        Quirk::RateLimited,
        Quirk::Error,
        Quirk::Unauthorized,
        Quirk::Refuse,
        Quirk::Cut,
        Quirk::NoDone,
        Quirk::NoUsage,
        Quirk::NullUsage,
        Quirk::AbsurdUsage,
        Quirk::ExcessUsage,
        Quirk::Hang,
        Quirk::Garbage,
        Quirk::ErrorEvent,
        Quirk::Empty,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Quirk::Echo => "echo",
            Quirk::Tool => "tool",
            Quirk::Slow => "slow",
            Quirk::RateLimited => "rate-limited",
            Quirk::Error => "error",
            Quirk::Unauthorized => "unauthorized",
            Quirk::Refuse => "refuse",
            Quirk::Cut => "cut",
            Quirk::NoDone => "no-done",
            Quirk::NoUsage => "no-usage",
            Quirk::NullUsage => "null-usage",
            Quirk::AbsurdUsage => "absurd-usage",
            Quirk::ExcessUsage => "excess-usage",
            Quirk::Hang => "hang",
            Quirk::Garbage => "garbage",
            Quirk::ErrorEvent => "error-event",
            Quirk::Empty => "empty",
        }
    }
}
