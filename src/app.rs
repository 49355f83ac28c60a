//! The document around every page, and the route table.

use crate::accounts::page::{SignInPage, SignUpPage};
use crate::accounts::page_deletion::{DeletionPage, GoodbyePage};
use crate::accounts::page_invitation::InvitationPage;
use crate::accounts::page_mail::{ForgotPasswordPage, ResetPasswordPage, VerifyEmailPage};
use crate::accounts::page_members::MembersPage;
use crate::accounts::page_settings::SettingsPage;
use crate::accounts::page_two_factor::{SignInCodePage, TwoFactorPage};
use crate::catalog::page::ProductsPage;
use crate::checkout::page::{ConfirmPage, OrderPage, OrdersPage, PaymentEventsPage, ReceiptPage, RefundPage, SandboxPaymentPage};
use crate::docs::page::{DocPage, DocsPage};
use crate::home::page::{DashboardPage, HomePage};
use crate::i18n::language;
use crate::journal::page::LogPage;
use crate::keys::page::{DeleteKeysPage, KeyPage, KeysPage};
use crate::preferences::types::Preferences;
use crate::search::page::SearchPage;
use crate::suppliers::page::ModelsPage;
use crate::ui::copy::CanCopy;
use crate::ui::hydration::SiteParts;
use crate::ui::layout::{Frame, NotFoundPage};
use crate::ui::style_guide::StyleGuidePage;
use crate::usage::page::UsagePage;
use crate::wallet::page::WalletPage;
use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::components::{ParentRoute, Route, Router, Routes};
use leptos_router::{SsrMode, path};

/// The HTML document. `translate="no"`: a translating browser rewrites text nodes, and an island then finds a stranger's page.
pub fn shell(_: LeptosOptions) -> impl IntoView {
    let theme = use_context::<Preferences>().unwrap_or_default().theme;
    view! {
        <!DOCTYPE html>
        <html lang=language().tag() data-theme=theme.as_str() translate="no">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content=theme.color_scheme() />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <SiteParts />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// Every page of the console. All of them render complete on the server (`SsrMode::Async`), so none needs JavaScript.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(CanCopy::default());
    view! {
        <Title formatter=|title: String| if title.is_empty() { "TOKI Token Plan".to_string() } else { format!("{title} · TOKI") } />
        <Router>
            <Routes fallback=NotFoundPage>
                <ParentRoute path=path!("") view=Frame ssr=SsrMode::Async>
                    <Route path=path!("/") view=HomePage />
                    <Route path=path!("/sign-in") view=SignInPage />
                    <Route path=path!("/sign-in/code") view=SignInCodePage />
                    <Route path=path!("/sign-up") view=SignUpPage />
                    <Route path=path!("/forgot-password") view=ForgotPasswordPage />
                    <Route path=path!("/reset-password") view=ResetPasswordPage />
                    <Route path=path!("/verify-email") view=VerifyEmailPage />
                    <Route path=path!("/settings") view=SettingsPage />
                    <Route path=path!("/settings/two-factor") view=TwoFactorPage />
                    <Route path=path!("/settings/delete") view=DeletionPage />
                    <Route path=path!("/goodbye") view=GoodbyePage />
                    <Route path=path!("/settings/members") view=MembersPage />
                    <Route path=path!("/invitation") view=InvitationPage />
                    <Route path=path!("/settings/log") view=LogPage />
                    <Route path=path!("/dashboard") view=DashboardPage />
                    <Route path=path!("/products") view=ProductsPage />
                    <Route path=path!("/products/:id/confirm") view=ConfirmPage />
                    <Route path=path!("/orders") view=OrdersPage />
                    <Route path=path!("/orders/:id") view=OrderPage />
                    <Route path=path!("/orders/:id/receipt") view=ReceiptPage />
                    <Route path=path!("/orders/:id/refund") view=RefundPage />
                    <Route path=path!("/sandbox/payments/:id") view=SandboxPaymentPage />
                    <Route path=path!("/wallet") view=WalletPage />
                    <Route path=path!("/keys") view=KeysPage />
                    <Route path=path!("/keys/delete") view=DeleteKeysPage />
                    <Route path=path!("/keys/:id") view=KeyPage />
                    <Route path=path!("/usage") view=UsagePage />
                    <Route path=path!("/models") view=ModelsPage />
                    <Route path=path!("/docs") view=DocsPage />
                    <Route path=path!("/docs/:page") view=DocPage />
                    <Route path=path!("/search") view=SearchPage />
                    <Route path=path!("/operator/payments") view=PaymentEventsPage />
                </ParentRoute>
                <Route path=path!("/styleguide") view=StyleGuidePage ssr=SsrMode::Async />
            </Routes>
        </Router>
    }
}
