"""What AI costs: the prices of models, whatever a gateway, a cloud or an application calls them."""
