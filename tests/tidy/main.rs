//! The rules of this code base that the compiler does not know, as tests over its text. Each check returns the breaches it found,
//! so that one run names all of them.
//!
//! Plain std: `scripts/check.sh` builds this with rustc alone, in seconds.

mod files;
mod imports;
mod repository;
mod schema;
mod security;
mod server_fns;
mod source;
mod supply;

/// Fails with every breach, one a line.
#[track_caller]
fn none(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{} breaches:\n  {}\n", breaches.len(), breaches.join("\n  "));
}

#[test]
fn modules_import_only_what_their_kind_may() {
    none(imports::forbidden_imports());
}

#[test]
fn import_exceptions_are_all_needed() {
    none(imports::stale_exceptions());
}

#[test]
fn sql_is_written_only_where_it_belongs() {
    none(imports::stray_sql());
}

#[test]
fn banned_calls_are_not_made() {
    none(imports::banned_calls());
}

#[test]
fn feature_gates_are_few_and_where_expected() {
    none(files::feature_gates());
}

#[test]
fn files_are_short() {
    none(files::long_files());
}

#[test]
fn what_is_typed_is_escaped_in_every_element() {
    none(files::unescaped_elements());
}

#[test]
fn files_say_what_they_own() {
    none(files::missing_headers());
}

#[test]
fn lints_are_expected_and_never_allowed() {
    none(files::allowed_lints());
}

#[test]
fn tests_are_never_ignored() {
    none(files::ignored_tests());
}

#[test]
fn modules_are_named_after_the_business() {
    none(files::vague_names());
}

#[test]
fn tokens_and_money_know_no_floats() {
    none(files::floats());
}

#[test]
fn server_fns_begin_with_their_guard() {
    none(server_fns::unguarded());
}

#[test]
fn server_fns_have_an_explicit_endpoint() {
    none(server_fns::without_endpoint());
}

#[test]
fn constraints_and_indexes_are_named() {
    none(schema::unnamed());
}

#[test]
fn landed_migrations_are_unchanged() {
    none(schema::changed_migrations());
}

#[test]
fn leptos_toml_equals_the_cargo_metadata() {
    none(repository::leptos_settings_differ());
}

#[test]
fn architecture_names_every_folder() {
    none(repository::folders_not_in_architecture());
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    none(repository::foreign_places());
}

#[test]
fn security_names_tests_that_are_there() {
    none(security::tests_not_there());
}

#[test]
fn what_is_installed_is_locked_and_looked_at() {
    none(supply::not_locked());
}

#[test]
fn rules_find_what_they_look_for() {
    none(imports::self_check());
    none(schema::self_check());
    none(server_fns::self_check());
    none(security::self_check());
    none(supply::self_check());
}
