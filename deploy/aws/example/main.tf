provider "aws" {
  region = "eu-west-1"
}

module "orders" {
  source = "../"

  bucket = "acme-orders"
  table  = "acme-heads"
}

# The role that the order service runs under, made elsewhere.
resource "aws_iam_role_policy_attachment" "order_service" {
  role       = "order-service"
  policy_arn = module.orders.writer_policy_arn
}

# A relay, collection and verification beside it.
module "schedules" {
  source = "../schedules"

  name                  = "acme-orders"
  store_url             = module.orders.store_url
  image                 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ropewalk:1"
  relay_policy_arn      = module.orders.relay_policy_arn
  maintainer_policy_arn = module.orders.maintainer_policy_arn
  subnets               = ["subnet-0a1b2c3d"]
}

output "store_url" {
  value = module.orders.store_url
}
