"""verl on CPU without the rest of the plugin: what a stock run is compared with (VERL_USE_EXTERNAL_MODULES)."""

import laser_verl.verl_ext.platform_cpu  # noqa: F401
