_base_ = './fsesim_stylegan2_1xb16-50kiters_pair.py'

pictures = dict(A='data/monet_etretat/trainB', B='data/monet_etretat/trainA')
train_dataloader = dict(dataset=pictures)
val_dataloader = dict(dataset=pictures)
test_dataloader = dict(dataset=pictures)
