provider "azurerm" {
  features {}
  subscription_id     = var.subscription
  storage_use_azuread = true # the account's keys are switched off
}

variable "subscription" {
  type = string
}

# The identity that the order service runs under.
resource "azurerm_user_assigned_identity" "order_service" {
  name                = "order-service"
  resource_group_name = "acme"
  location            = "westeurope"
}

module "orders" {
  source = "../"

  account        = "acmeorders"
  resource_group = "acme"
  location       = "westeurope"

  writers = {
    order-service = azurerm_user_assigned_identity.order_service.principal_id
  }
}

output "store_url" {
  value = module.orders.store_url
}
