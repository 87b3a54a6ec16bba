"""Which files a provider has delivered of each billing period, by its manifests."""
