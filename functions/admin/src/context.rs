//! From the environment to the adapters. Which variables name a home: see `kintsugi-home`.

use kintsugi_domain::ports::Ports;
use kintsugi_runtime::Settings;

/// Opens what the function works with.
pub(crate) async fn open(settings: Settings) -> anyhow::Result<Ports> {
    Ok(kintsugi_home::open(&settings).await?)
}
