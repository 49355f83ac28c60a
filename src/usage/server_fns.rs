//! Server functions of the usage page: who, parse, store, reply.
#![expect(clippy::too_many_arguments, reason = "the parameters of an address")]

use crate::error::ConsoleError;
use crate::usage::types::UsageView;
use leptos::prelude::*;
use leptos::server_fn::codec::{GetUrl, StreamingText, TextStream};

const CALLS_A_PAGE: i64 = 25;

/// Totals of a stretch of time and a page of its calls, of one key, model, member and supplier or of all. Of an outcome are only the calls.
#[server(endpoint = "usage/show", input = GetUrl)]
pub async fn show_usage(
    #[server(default)] range: String,
    #[server(default)] from: String,
    #[server(default)] to: String,
    #[server(default)] group: String,
    #[server(default)] key: String,
    #[server(default)] model: String,
    #[server(default)] member: String,
    #[server(default)] supplier: String,
    #[server(default)] outcome: String,
    #[server(default)] call: String,
    #[server(default)] before: String,
) -> Result<UsageView, ConsoleError> {
    use crate::accounts::types_members::Role;
    use crate::error::Field;
    use crate::server::request_ctx;
    use crate::usage::filter::{CallFilter, Parameters};
    use crate::usage::range::{Preset, Range};
    use crate::usage::store;
    use crate::usage::types::{CallPage, Choices};
    use crate::usage::types_totals::Group;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let (zone, now) = (crate::preferences::time_zone(), chrono::Utc::now());
    let (range, wrong) = match Range::parse(&range, &from, &to, zone, now) {
        Ok(range) => (range, None),
        // The form stays, with what was typed.
        Err(error) if error.field() == Some(Field::Day) => {
            (Range { preset: None, ..Range::of(Preset::Month, zone, now) }, Some(request_ctx::fail(error)))
        }
        Err(error) => return Err(request_ctx::fail(error)),
    };
    let group = match group.as_str() {
        "" => Group::default(),
        word => Group::parse(word).ok_or_else(|| request_ctx::fail(ConsoleError::NotFound))?,
    };
    let asked =
        Parameters { key: &key, model: &model, member: &member, supplier: &supplier, outcome: &outcome, call: &call, before: &before };
    let filter = CallFilter::parse(asked).map_err(request_ctx::fail)?.within(&range);
    let may_create = reader.role() >= Role::Member;
    let failed = |error: store::UsageError| request_ctx::fail(error.into());
    if wrong.is_none() && filter.call.is_some() {
        // A page of its own, without totals and with nothing to ask for.
        let page = store::calls_of(&app.db, &reader, &filter, 1).await.map_err(failed)?;
        let (parts, choices, of_group) = (Vec::new(), Choices::default(), Vec::new());
        return Ok(UsageView { wrong, parts, page, ever: true, may_create, choices, of_group, range, group });
    }
    let members = async {
        let asked = group == Group::Member || filter.whose.member.is_some();
        if asked { store::member_names(&app.db, &reader).await } else { Ok(Vec::new()) }
    };
    let suppliers = async {
        let asked = group == Group::Supplier || filter.whose.supplier.is_some();
        if asked { store::supplier_names(&app.db).await } else { Ok(Vec::new()) }
    };
    if wrong.is_some() {
        let choices = tokio::try_join!(store::choices_of(&app.db, &reader), members, suppliers);
        let ((keys, models), members, suppliers) = choices.map_err(failed)?;
        let choices = Choices { keys, models, members, suppliers };
        let page = CallPage { calls: Vec::new(), older: None, cut_short: false };
        let (parts, of_group) = (Vec::new(), Vec::new());
        return Ok(UsageView { wrong, parts, page, ever: true, may_create, choices, of_group, range, group });
    }
    let page = async {
        let page = store::calls_of(&app.db, &reader, &filter, CALLS_A_PAGE).await?;
        let ever = !page.calls.is_empty() || store::has_calls(&app.db, &reader).await?;
        Ok((page, ever))
    };
    let (parts, (page, ever), (keys, models), members, suppliers) = tokio::try_join!(
        store::parts_of(&app.db, &reader, &filter.whose, &range, group),
        page,
        store::choices_of(&app.db, &reader),
        members,
        suppliers,
    )
    .map_err(failed)?;
    let of_group = match group {
        Group::Model => models.iter().map(|id| (id.clone(), id.clone())).collect(),
        Group::Key => keys.iter().map(|key| (key.key_id.to_string(), key.name.clone())).collect(),
        Group::Supplier => suppliers.clone(),
        Group::Member => members.clone(),
    };
    let choices = Choices { keys, models, members, suppliers };
    Ok(UsageView { wrong, parts, page, ever, may_create, choices, of_group, range, group })
}

/// The calls of the same stretch and filter as a file, all of them.
#[server(endpoint = "usage/export", input = GetUrl, output = StreamingText)]
pub async fn export_usage(
    #[server(default)] range: String,
    #[server(default)] from: String,
    #[server(default)] to: String,
    #[server(default)] key: String,
    #[server(default)] model: String,
    #[server(default)] member: String,
    #[server(default)] supplier: String,
    #[server(default)] outcome: String,
) -> Result<TextStream<ConsoleError>, ConsoleError> {
    use crate::server::request_ctx;
    use crate::sheet::marked;
    use crate::usage::export::csv;
    use crate::usage::filter::{CallFilter, Parameters};
    use crate::usage::range::Range;
    let reader = request_ctx::reader().await?;
    let app = request_ctx::app()?;
    let range = Range::parse(&range, &from, &to, crate::preferences::time_zone(), chrono::Utc::now()).map_err(request_ctx::fail)?;
    let asked = Parameters { key: &key, model: &model, member: &member, supplier: &supplier, outcome: &outcome, ..Parameters::default() };
    let filter = CallFilter::parse(asked).map_err(request_ctx::fail)?.within(&range);
    request_ctx::answer_file("text/csv; charset=utf-8", "usage.csv");
    Ok(TextStream::new(marked(csv(app.db.clone(), reader.account_id(), filter))))
}
