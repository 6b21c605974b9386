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

output "store_url" {
  value = module.orders.store_url
}
