//! From the environment to the adapters.
//!
//! `KINTSUGI_DATA`: the folder of a local home. The adapters of the cloud take its place here and
//! nowhere else.

use kintsugi_adapters_local::Home;
use kintsugi_domain::ports::Ports;
use kintsugi_runtime::Settings;

/// Opens what the function works with.
pub(crate) async fn open(settings: Settings) -> anyhow::Result<Ports> {
    let folder = settings.path("KINTSUGI_DATA", "the data folder")?;
    Ok(Home::open(&folder, None).await?.ports())
}
