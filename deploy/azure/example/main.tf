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
  maintainers = {
    schedules = module.schedules.principal_id
  }
}

# A relay, collection and verification beside it.
module "schedules" {
  source = "../schedules"

  name           = "acme-orders"
  resource_group = "acme"
  location       = "westeurope"
  store_url      = module.orders.store_url
  image          = "acme.azurecr.io/ropewalk:1"
  registry       = "acme.azurecr.io"
}

output "store_url" {
  value = module.orders.store_url
}
